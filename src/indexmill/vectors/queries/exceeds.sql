-- Whether the table has more rows than these. It is not counted where it is too small for that anyway.
SELECT EXISTS (SELECT 1 FROM {table} ORDER BY document, ordinal OFFSET %(rows)s) AS exceeds
WHERE pg_relation_size(%(name)s::regclass) > %(bytes)s::bigint;
