SELECT id FROM job
WHERE kind = 'indexing' AND knowledge_base = %(knowledge_base)s
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s OFFSET %(offset)s;
