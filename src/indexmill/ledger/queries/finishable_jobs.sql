SELECT j.id FROM job j
WHERE j.finished_at IS NULL AND j.state IN ('queued', 'running', 'retrying')
  AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.job = j.id AND b.state IN ('ready', 'waiting', 'running'))
ORDER BY j.id LIMIT 1000;
