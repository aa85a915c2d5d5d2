-- Expired ones are rescued oldest first, so many that fail would keep the others from their turn.
UPDATE lease SET expires_at = ledger_now() + make_interval(secs => %(seconds)s)
WHERE token = %(token)s AND expires_at < ledger_now();
