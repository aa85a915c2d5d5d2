UPDATE data_source
SET chunking = coalesce(%(chunking)s::jsonb, chunking), settings = coalesce(%(settings)s::jsonb, settings),
    secrets = coalesce(%(secrets)s::bytea, secrets), updated_at = ledger_now()
WHERE id = %(id)s AND knowledge_base = %(knowledge_base)s AND deleted_at IS NULL
RETURNING id;
