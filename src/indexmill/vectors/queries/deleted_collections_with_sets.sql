SELECT c.id FROM collection c
WHERE c.deleted_at < ledger_now() - make_interval(secs => %(seconds)s)
  AND EXISTS (SELECT 1 FROM attribute_set s WHERE s.collection = c.id)
  AND NOT EXISTS (SELECT 1 FROM job j WHERE j.collection = c.id AND j.finished_at IS NULL)
ORDER BY 1;
