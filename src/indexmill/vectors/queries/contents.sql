-- A page of the living documents' texts by id: at most so many, and so many bytes, but one at least. The size of a text
-- is known without reading it.
WITH page AS MATERIALIZED (
    SELECT d.key, sum(coalesce(octet_length(d.text), 0)) OVER (ORDER BY d.id ROWS UNBOUNDED PRECEDING) AS bytes,
           row_number() OVER (ORDER BY d.id) AS place
    FROM (
        SELECT d.key, d.id, d.text FROM document d {joins}
        WHERE d.collection = %(collection)s AND d.deleted_at IS NULL
          AND (%(after)s::text IS NULL OR d.id > %(after)s::text)
          AND (%(ids)s::text[] IS NULL OR d.id = ANY (%(ids)s::text[]))
          AND d.payload @> ALL (%(filters)s::jsonb[])
          AND {condition}
        ORDER BY d.id LIMIT %(limit)s
    ) d
)
SELECT d.id, d.text, d.structure, d.parts
FROM page p JOIN document d ON d.key = p.key
WHERE p.bytes <= %(max_bytes)s OR p.place = 1
ORDER BY p.place;
