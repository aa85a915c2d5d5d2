-- A text up to a place, in pieces of bytes, decompressed and measured once; they come in their order. No ORDER BY: it
-- would write them all to disk first.
WITH whole AS MATERIALIZED (
    SELECT convert_to(left(text, %(end)s::integer), 'UTF8') AS bytes FROM document WHERE key = %(key)s
)
SELECT substring(w.bytes FROM n * %(size)s::integer + 1 FOR %(size)s::integer) AS piece
FROM whole w CROSS JOIN LATERAL generate_series(0, (octet_length(w.bytes) - 1) / %(size)s::integer) n;
