UPDATE lease SET expires_at = least(expires_at, ledger_now() - interval '1 ms')
WHERE worker = %(worker)s OR starts_with(worker, %(worker)s || '/');
