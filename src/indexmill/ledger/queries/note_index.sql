UPDATE collection
SET indexed_generation = generation, ef_search = %(ef_search)s, recall = %(recall)s
WHERE id = %(collection)s AND generation = %(generation)s
RETURNING id;
