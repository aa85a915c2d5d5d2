SELECT kind, state, count(*) AS jobs FROM job
WHERE state IN ('queued', 'running', 'retrying') GROUP BY kind, state;
