-- With what decides whether it is good now: the database's time, not that of whoever asks.
SELECT k.id, k.tenant, k.name, k.role, k.created_at, k.expires_at, k.disabled_at, k.last_used_at, k.hash,
       k.disabled_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ledger_now()) AS is_good,
       k.last_used_at IS NULL OR k.last_used_at < ledger_now() - interval '1 minute' AS is_unseen
FROM api_key k WHERE k.id = %(id)s;
