UPDATE sweep SET next_due_at = ledger_now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND next_due_at <= ledger_now()
RETURNING name;
