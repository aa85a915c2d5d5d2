-- Renewed too: near the old deadline it would expire before the next renewal, and this item be blamed for the one before.
UPDATE lease
SET position = %(position)s, deadline_at = ledger_now() + make_interval(secs => %(deadline_seconds)s),
    expires_at = ledger_now() + make_interval(secs => least(%(seconds)s, %(deadline_seconds)s))
WHERE token = %(token)s;
