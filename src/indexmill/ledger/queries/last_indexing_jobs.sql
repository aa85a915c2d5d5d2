-- The newest indexing job of each of these knowledge bases.
SELECT j.id, k.id AS knowledge_base
FROM unnest(%(knowledge_bases)s::uuid[]) AS k (id)
CROSS JOIN LATERAL (
    SELECT id FROM job WHERE knowledge_base = k.id AND kind = 'indexing' ORDER BY created_at DESC, id DESC LIMIT 1
) j;
