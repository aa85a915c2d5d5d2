UPDATE knowledge_base
SET name = coalesce(%(name)s, name), details = details || %(details)s::jsonb, updated_at = ledger_now()
WHERE id = %(id)s AND tenant = %(tenant)s AND deleted_at IS NULL
RETURNING id;
