SELECT id FROM job WHERE knowledge_base = %(knowledge_base)s AND kind = 'indexing' AND finished_at IS NULL;
