SELECT id FROM job
WHERE collection = %(collection)s AND finished_at IS NULL AND state IN ('queued', 'running', 'retrying') AND seq < %(seq)s
  AND id > %(after)s
ORDER BY id LIMIT %(limit)s;
