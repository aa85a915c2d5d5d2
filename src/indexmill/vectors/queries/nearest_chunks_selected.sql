-- What is not selected is left out before the limit: no matching chunk is lost to it.
SELECT c.document, c.ordinal, c.embedding <#> %(vector)s::vector AS distance
FROM document d JOIN {table} c ON c.document = d.key {joins}
WHERE d.collection = %(collection)s AND d.deleted_at IS NULL
  AND (%(ids)s::text[] IS NULL OR d.id = ANY (%(ids)s::text[]))
  AND d.payload @> ALL (%(filters)s::jsonb[])
  AND {condition}
ORDER BY distance, c.document, c.ordinal LIMIT %(limit)s
