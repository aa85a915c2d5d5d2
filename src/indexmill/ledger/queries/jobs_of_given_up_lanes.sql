SELECT j.id, l.stop_reason FROM lane l JOIN job j ON j.lane = l.name
WHERE l.stopped_at < ledger_now() - make_interval(secs => %(seconds)s)
  AND j.finished_at IS NULL AND j.state IN ('queued', 'running', 'retrying') AND j.id > %(after)s
ORDER BY j.id LIMIT %(limit)s;
