SELECT id FROM job
WHERE id = ANY (%(ids)s::uuid[]) AND state IN ('queued', 'running', 'retrying')
ORDER BY id FOR NO KEY UPDATE;
