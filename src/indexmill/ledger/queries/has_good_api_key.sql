SELECT 1 AS one FROM api_key WHERE disabled_at IS NULL AND (expires_at IS NULL OR expires_at > ledger_now()) LIMIT 1;
