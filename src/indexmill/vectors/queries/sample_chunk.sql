SELECT c.embedding::text AS vector FROM {table} c
WHERE c.document >= %(document)s ORDER BY c.document, c.ordinal LIMIT 1;
