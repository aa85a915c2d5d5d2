SELECT c.document, c.ordinal, c.embedding <#> %(vector)s::vector AS distance
FROM {table} c
ORDER BY distance, c.document, c.ordinal LIMIT %(limit)s
