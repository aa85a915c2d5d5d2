UPDATE lease SET expires_at = least(expires_at, ledger_now() - interval '1 ms')
WHERE starts_with(worker, %(prefix)s);
