-- What no rebuild fills any more: its job was cancelled, or has failed.
SELECT c.id FROM collection c
WHERE c.next_generation IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM job j WHERE j.collection = c.id AND j.kind = 'rebuild' AND j.finished_at IS NULL)
ORDER BY c.id;
