-- What is in the way of a new document: one that is there, or an ingestion under way that will write it.
SELECT d.id IS NOT NULL AND d.deleted_at IS NULL AS is_there, (
    SELECT j.id FROM job j
    WHERE j.collection = c.id AND j.document = %(document)s AND j.finished_at IS NULL AND j.kind = 'ingestion'
      AND j.seq >= c.min_seq AND j.seq > coalesce(d.seq, 0)
    ORDER BY j.seq LIMIT 1
) AS job
FROM collection c
LEFT JOIN document d ON d.collection = c.id AND d.id = %(document)s
WHERE c.tenant = %(tenant)s AND c.name = %(collection)s AND c.deleted_at IS NULL
  AND c.id = coalesce(%(number)s::integer, c.id);
