WITH nearest AS (
    SELECT c.document, min(c.embedding <#> %(vector)s::vector) AS distance
    FROM {table} c
    GROUP BY c.document
    ORDER BY distance, c.document LIMIT %(limit)s
)
SELECT d.id, -n.distance AS score, d.payload, substring(d.text FROM best.start_offset::integer + 1
       FOR (best.end_offset - best.start_offset)::integer) AS text
FROM nearest n
JOIN document d ON d.key = n.document AND d.deleted_at IS NULL
CROSS JOIN LATERAL (
    SELECT start_offset, end_offset FROM {table} c
    WHERE c.document = n.document ORDER BY c.embedding <#> %(vector)s::vector, c.ordinal LIMIT 1
) best
ORDER BY n.distance, n.document;
