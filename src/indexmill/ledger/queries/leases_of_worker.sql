SELECT worker, token, deadline_at <= ledger_now() AS past_deadline FROM lease
WHERE worker = %(worker)s OR starts_with(worker, %(worker)s || '/');
