-- Newest first. A page of the older half is found from the other end: its cost does not grow with its number.
SELECT id FROM (
    (SELECT id, created_at FROM job
     WHERE kind = 'indexing' AND tenant = %(tenant)s AND NOT %(from_end)s
     ORDER BY created_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s)
    UNION ALL
    (SELECT id, created_at FROM job
     WHERE kind = 'indexing' AND tenant = %(tenant)s AND %(from_end)s
     ORDER BY created_at, id LIMIT %(limit)s OFFSET %(offset)s)
) page
ORDER BY created_at DESC, id DESC;
