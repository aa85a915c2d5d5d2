-- Materialized: few jobs are open, and walking all jobs by id to find them would cost as much as there are.
WITH unfinished AS MATERIALIZED (
    SELECT id FROM job
    WHERE finished_at IS NULL AND state IN ('queued', 'running', 'retrying')
      -- A queued one with items has not started: its batches are all open.
      AND (state <> 'queued' OR total_items = 0)
)
SELECT j.id FROM unfinished j
WHERE j.id > %(after)s
  AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.job = j.id AND b.state IN ('ready', 'waiting', 'running'))
ORDER BY j.id LIMIT %(limit)s;
