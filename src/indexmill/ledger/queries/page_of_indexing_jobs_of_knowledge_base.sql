-- As page_of_indexing_jobs.sql.
SELECT id FROM (
    (SELECT id, created_at FROM job
     WHERE kind = 'indexing' AND knowledge_base = %(knowledge_base)s AND NOT %(from_end)s
     ORDER BY created_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s)
    UNION ALL
    (SELECT id, created_at FROM job
     WHERE kind = 'indexing' AND knowledge_base = %(knowledge_base)s AND %(from_end)s
     ORDER BY created_at, id LIMIT %(limit)s OFFSET %(offset)s)
) page
ORDER BY created_at DESC, id DESC;
