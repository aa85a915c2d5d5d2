UPDATE model SET withdrawn_at = ledger_now()
WHERE tenant = %(tenant)s AND id = %(id)s AND withdrawn_at IS NULL
RETURNING id;
