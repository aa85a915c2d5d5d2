-- Their secrets go at once.
UPDATE data_source SET deleted_at = ledger_now(), updated_at = ledger_now(), secrets = NULL
WHERE knowledge_base = %(knowledge_base)s AND id = ANY (%(ids)s::uuid[]) AND deleted_at IS NULL
RETURNING id;
