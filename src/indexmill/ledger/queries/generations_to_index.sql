-- Tables of chunks that may want an index: those in use that have none that was measured, or have doubled since it was,
-- and those that a rebuild has filled and waits for. Collections are many and large ones few: most are left out by their
-- size alone.
SELECT c.id AS collection, c.generation, m.dimension, true AS in_use
FROM collection c JOIN model m ON m.tenant = c.tenant AND m.id = c.model
CROSS JOIN LATERAL (SELECT pg_relation_size(chunk_table(c.id, c.generation)) AS bytes) t
WHERE c.deleted_at IS NULL AND (c.indexed_generation IS DISTINCT FROM c.generation OR t.bytes > 2 * c.indexed_bytes)
  AND t.bytes > %(rows)s::bigint
      * (%(row_bytes)s::bigint + CASE WHEN m.dimension <= %(inline_dimension)s THEN 4 * m.dimension ELSE 0 END)
UNION ALL
SELECT c.id, c.next_generation, m.dimension, false
FROM collection c JOIN model m ON m.tenant = c.tenant AND m.id = c.model
JOIN job j ON j.collection = c.id AND j.turn_at IS NOT NULL AND j.finished_at IS NULL
JOIN structural_progress p ON p.job = j.id
WHERE c.next_generation IS NOT NULL AND p.progress ->> 'phase' = 'indexing'
  AND (p.progress ->> 'generation')::integer = c.next_generation
ORDER BY in_use, collection;
