SELECT j.id, j.model FROM job j
JOIN model m ON m.tenant = j.tenant AND m.id = j.model AND m.withdrawn_at IS NOT NULL
WHERE j.finished_at IS NULL AND j.state IN ('queued', 'running', 'retrying') AND j.kind NOT IN ('deletion', 'cleanup', 'rebuild', 'replace_filter_attributes')
  AND j.id > %(after)s
ORDER BY j.id LIMIT %(limit)s;
