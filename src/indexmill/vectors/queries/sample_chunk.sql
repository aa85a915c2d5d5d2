-- A chunk of the first document from this key on; `share`, 0 to 1, is its place among that document's chunks.
WITH first AS MATERIALIZED (
    SELECT document FROM {table} WHERE document >= %(document)s ORDER BY document, ordinal LIMIT 1
)
SELECT c.embedding::text AS vector
FROM first f
CROSS JOIN LATERAL (
    SELECT ordinal FROM {table} WHERE document = f.document ORDER BY ordinal DESC LIMIT 1
) last
CROSS JOIN LATERAL (
    SELECT embedding FROM {table}
    WHERE document = f.document AND ordinal >= floor(%(share)s * (last.ordinal + 1))::integer ORDER BY ordinal LIMIT 1
) c;
