-- The newest indexing job in which each of these data sources took part.
SELECT j.id, s.id AS source
FROM unnest(%(sources)s::uuid[]) AS s (id)
CROSS JOIN LATERAL (
    SELECT j.id FROM job_source js JOIN job j ON j.id = js.job AND j.kind = 'indexing'
    WHERE js.source = s.id ORDER BY j.created_at DESC, j.id DESC LIMIT 1
) j;
