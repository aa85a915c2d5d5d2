SELECT worker, token, deadline_at <= ledger_now() AS past_deadline FROM lease
WHERE starts_with(worker, %(prefix)s);
