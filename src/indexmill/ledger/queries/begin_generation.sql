UPDATE collection SET last_generation = last_generation + 1, next_generation = last_generation + 1
WHERE id = %(collection)s
RETURNING next_generation;
