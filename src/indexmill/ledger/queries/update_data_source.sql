UPDATE data_source
SET chunking = %(chunking)s, updated_at = ledger_now()
WHERE id = %(id)s AND knowledge_base = %(knowledge_base)s AND deleted_at IS NULL
RETURNING id;
