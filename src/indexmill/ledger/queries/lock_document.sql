-- One at a time decides whether a document is to be made; by a key of 64 bits, which is apart from those of two numbers.
SELECT pg_advisory_xact_lock(hashtextextended(%(document)s, c.id))
FROM collection c
WHERE c.tenant = %(tenant)s AND c.name = %(collection)s AND c.deleted_at IS NULL
  AND c.id = coalesce(%(number)s::integer, c.id);
