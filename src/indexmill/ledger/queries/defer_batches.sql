-- running -> waiting
WITH held AS (
    SELECT job, ordinal FROM batch
    WHERE lease = %(token)s AND state = 'running'
    ORDER BY job, ordinal FOR UPDATE
)
UPDATE batch b
SET state = 'waiting', lease = NULL, tries = b.tries + 1,
    available_at = ledger_now() + make_interval(secs => %(seconds)s)
FROM held WHERE b.job = held.job AND b.ordinal = held.ordinal
RETURNING b.job, b.ordinal;
