SELECT j.id FROM job j
WHERE j.finished_at IS NULL AND j.state IN ('queued', 'running', 'retrying')
  -- A queued one with items has not started: its batches are all open.
  AND (j.state <> 'queued' OR j.total_items = 0)
  AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.job = j.id AND b.state IN ('ready', 'waiting', 'running'))
ORDER BY j.id LIMIT 1000;
