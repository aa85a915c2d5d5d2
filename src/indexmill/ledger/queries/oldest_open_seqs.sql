-- The oldest job of each collection that may still write documents: it is open, or can be retried.
SELECT c.id, oldest.seq
FROM unnest(%(ids)s::integer[]) AS c (id)
CROSS JOIN LATERAL (
    SELECT j.seq FROM job j
    WHERE j.collection = c.id AND j.seq IS NOT NULL AND j.kind NOT IN ('rebuild', 'replace_filter_attributes')
      AND (j.finished_at IS NULL OR j.failed + j.cancelled > 0 AND j.bodies_deleted_at IS NULL)
    ORDER BY j.seq LIMIT 1
) oldest;
