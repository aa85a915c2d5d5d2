-- A page of the living documents by id, without their texts: at most so many, and so many bytes of payloads as they
-- are stored, but one at least.
WITH page AS MATERIALIZED (
    SELECT d.key, d.id, sum(coalesce(pg_column_size(d.payload), 0) + coalesce(pg_column_size(d.item_info), 0))
           OVER (ORDER BY d.id ROWS UNBOUNDED PRECEDING) AS bytes, row_number() OVER (ORDER BY d.id) AS place
    FROM (
        SELECT d.key, d.id, d.payload, d.item_info FROM document d {joins}
        WHERE d.collection = %(collection)s AND d.deleted_at IS NULL
          AND (%(after)s::text IS NULL OR d.id > %(after)s::text)
          AND (%(ids)s::text[] IS NULL OR d.id = ANY (%(ids)s::text[]))
          AND d.payload @> ALL (%(filters)s::jsonb[])
          AND {condition}
        ORDER BY d.id LIMIT %(limit)s
    ) d
)
SELECT d.id, d.payload, d.item_info, d.chunks, d.updated_at
FROM page p JOIN document d ON d.key = p.key
WHERE p.bytes <= %(max_bytes)s OR p.place = 1
ORDER BY p.place;
