SELECT c.name, c.model, c.splitting, c.generation, coalesce(d.documents, 0) AS documents, coalesce(d.chunks, 0)::bigint AS chunks
FROM collection c
LEFT JOIN (
    SELECT collection, count(*) AS documents, sum(chunks) AS chunks FROM document
    WHERE deleted_at IS NULL GROUP BY collection
) d ON d.collection = c.id
WHERE c.tenant = %(tenant)s AND c.deleted_at IS NULL ORDER BY c.name;
