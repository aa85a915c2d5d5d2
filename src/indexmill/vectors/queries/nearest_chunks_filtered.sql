-- A filter over the narrow tables of its attributes: `document` is not looked through. What does not match is left out
-- before the limit.
SELECT c.document, c.ordinal, c.embedding <#> %(vector)s::vector AS distance
FROM {table} c {joins}
WHERE {condition}
ORDER BY distance, c.document, c.ordinal LIMIT %(limit)s
