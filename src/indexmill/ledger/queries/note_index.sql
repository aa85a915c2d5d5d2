UPDATE collection
SET indexed_generation = generation, ef_search = %(ef_search)s, recall = %(recall)s,
    indexed_bytes = pg_relation_size(to_regclass(format('chunk_%%s_%%s', id, generation)))
WHERE id = %(collection)s AND generation = %(generation)s
RETURNING id;
