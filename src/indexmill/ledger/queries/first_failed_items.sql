SELECT f.* FROM unnest(%(jobs)s::uuid[]) AS j (id)
CROSS JOIN LATERAL (
    SELECT * FROM failed_item WHERE job = j.id ORDER BY position LIMIT %(limit)s
) f
ORDER BY f.job, f.position;
