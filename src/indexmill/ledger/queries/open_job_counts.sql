SELECT kind, state, count(*) AS jobs FROM job
WHERE finished_at IS NULL AND state IN ('queued', 'running', 'retrying') GROUP BY kind, state;
