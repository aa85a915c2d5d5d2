SELECT count(*) AS total FROM job WHERE kind = 'indexing' AND knowledge_base = %(knowledge_base)s;
