UPDATE lease SET expires_at = least(expires_at, ledger_now() - interval '1 ms') WHERE token = %(token)s
RETURNING token, position, deadline_at <= ledger_now() AS past_deadline;
