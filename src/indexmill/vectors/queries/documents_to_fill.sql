-- A page of the living documents by id: at most so many, and so many bytes, but one at least.
WITH page AS MATERIALIZED (
    SELECT d.key, sum(coalesce(pg_column_size(d.payload), 0) + coalesce(pg_column_size(d.parts), 0))
           OVER (ORDER BY d.id ROWS UNBOUNDED PRECEDING) AS bytes, row_number() OVER (ORDER BY d.id) AS place
    FROM (
        SELECT key, id, payload, parts FROM document d
        WHERE d.collection = %(collection)s AND d.deleted_at IS NULL AND (%(after)s::text IS NULL OR d.id > %(after)s::text)
        ORDER BY d.id LIMIT %(limit)s
    ) d
)
SELECT d.key, d.id, d.payload, d.parts
FROM page p JOIN document d ON d.key = p.key
WHERE p.bytes <= %(max_bytes)s OR p.place = 1
ORDER BY p.place;
