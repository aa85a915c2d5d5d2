-- The index knows the vectors in half precision: it says which chunks may be the nearest, the vectors say which are.
WITH candidates AS MATERIALIZED (
    SELECT c.document, c.ordinal, c.embedding <#> %(vector)s::vector AS distance
    FROM {table} c
    ORDER BY c.embedding::halfvec({dimension}) <#> %(vector)s::halfvec({dimension}) LIMIT %(candidates)s
)
SELECT document, ordinal, distance FROM candidates ORDER BY distance, document, ordinal;
