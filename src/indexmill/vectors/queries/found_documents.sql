-- As search.sql, where the documents and their best chunks are known.
SELECT d.id, -f.distance AS score, d.payload, substring(d.text FROM best.start_offset::integer + 1
       FOR (best.end_offset - best.start_offset)::integer) AS text
FROM unnest(%(documents)s::bigint[], %(ordinals)s::integer[], %(distances)s::float8[])
     AS f (document, ordinal, distance)
JOIN document d ON d.key = f.document AND d.deleted_at IS NULL
JOIN {table} best ON best.document = f.document AND best.ordinal = f.ordinal
ORDER BY f.distance, f.document;
