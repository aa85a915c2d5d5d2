-- Not past the deadline: a window that hangs is noticed although its process lives.
WITH renewed AS (
    UPDATE lease
    SET expires_at = least(deadline_at, ledger_now() + make_interval(secs => %(seconds)s))
    WHERE token = %(token)s
)
SELECT count(*) AS held FROM batch WHERE lease = %(token)s AND state = 'running';
