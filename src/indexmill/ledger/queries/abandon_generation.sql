UPDATE collection c SET next_generation = NULL
WHERE c.id = %(collection)s AND c.next_generation IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM job j WHERE j.collection = c.id AND j.kind = 'rebuild' AND j.finished_at IS NULL)
RETURNING c.id;
