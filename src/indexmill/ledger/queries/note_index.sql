UPDATE collection
SET indexed_generation = generation, ef_search = %(ef_search)s, recall = %(recall)s,
    indexed_bytes = pg_relation_size(chunk_table(id, generation))
WHERE id = %(collection)s AND generation = %(generation)s
RETURNING id;
