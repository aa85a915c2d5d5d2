UPDATE api_key SET last_used_at = ledger_now()
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < ledger_now() - interval '1 minute');
