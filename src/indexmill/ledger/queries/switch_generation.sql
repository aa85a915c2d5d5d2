UPDATE collection
SET generation = next_generation, next_generation = NULL, switched_at = ledger_now(), recall = %(recall)s,
    ef_search = %(ef_search)s, indexed_generation = CASE WHEN %(ef_search)s::integer IS NOT NULL THEN next_generation END,
    indexed_bytes = pg_relation_size(chunk_table(id, next_generation))
WHERE id = %(collection)s AND next_generation = %(generation)s
RETURNING generation;
