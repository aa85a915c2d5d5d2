-- Those of the knowledge base, by default all of them, in the order in which they were added.
SELECT id, knowledge_base, kind, settings, chunking, created_at, updated_at FROM data_source
WHERE knowledge_base = %(knowledge_base)s AND deleted_at IS NULL
  AND (%(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s::uuid[]))
ORDER BY created_at, id
LIMIT %(limit)s OFFSET %(offset)s;
