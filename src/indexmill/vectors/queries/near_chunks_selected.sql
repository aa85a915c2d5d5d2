-- As near_chunks.sql, of selected documents: what is not selected is left out while the index is read. It ends after
-- hnsw.max_scan_tuples, perhaps with fewer than were asked for.
WITH candidates AS MATERIALIZED (
    SELECT c.document, c.ordinal, c.embedding <#> %(vector)s::vector AS distance
    FROM {table} c JOIN document d ON d.key = c.document {joins}
    WHERE d.collection = %(collection)s AND d.deleted_at IS NULL AND d.payload @> ALL (%(filters)s::jsonb[])
      AND {condition}
    ORDER BY c.embedding::halfvec({dimension}) <#> %(vector)s::halfvec({dimension}) LIMIT %(candidates)s
)
SELECT document, ordinal, distance FROM candidates ORDER BY distance, document, ordinal;
