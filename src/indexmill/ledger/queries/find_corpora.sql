-- Every collection is a corpus; by number, the next ones after `after`.
SELECT c.id AS number, c.name AS key, coalesce(s.name, c.name) AS name, coalesce(s.description, '') AS description,
       c.model, c.created_at, coalesce(s.details, '{}') AS details, coalesce(a.attributes, '[]') AS attributes
FROM collection c
LEFT JOIN corpus s ON s.collection = c.id
LEFT JOIN attribute_set a ON a.number = c.attribute_set
WHERE c.tenant = %(tenant)s AND c.deleted_at IS NULL AND c.id > %(after)s
  AND (%(key)s::text IS NULL OR c.name = %(key)s)
  AND (%(numbers)s::integer[] IS NULL OR c.id = ANY (%(numbers)s::integer[]))
  AND (%(pattern)s::text IS NULL OR coalesce(s.name, c.name) ~ %(pattern)s OR s.description ~ %(pattern)s)
ORDER BY c.id LIMIT %(limit)s;
