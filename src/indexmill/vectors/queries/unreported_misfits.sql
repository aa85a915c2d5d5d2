-- Documents that writers found not to fit: at most so many, and so many bytes, but one at least. `left_out`: that were one
-- too many.
WITH page AS MATERIALIZED (
    SELECT m.document, sum(coalesce(pg_column_size(d.payload), 0) + coalesce(pg_column_size(d.parts), 0))
           OVER (ORDER BY m.document ROWS UNBOUNDED PRECEDING) AS bytes, row_number() OVER (ORDER BY m.document) AS place
    FROM (SELECT document FROM {table} WHERE misfit = 1 ORDER BY document LIMIT %(limit)s) m
    JOIN document d ON d.key = m.document
)
SELECT d.key, d.id, d.payload, d.parts, (SELECT count(*) FROM page) - count(*) OVER () AS left_out
FROM page p JOIN document d ON d.key = p.document
WHERE p.bytes <= %(max_bytes)s OR p.place = 1
ORDER BY p.place;
