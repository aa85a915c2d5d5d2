UPDATE lease
SET position = %(position)s, deadline_at = ledger_now() + make_interval(secs => %(deadline_seconds)s)
WHERE token = %(token)s;
