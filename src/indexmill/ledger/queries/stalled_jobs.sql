-- Running jobs of which every open batch waits: another batch was deferred while their last running one committed.
SELECT DISTINCT w.job AS id FROM batch w JOIN job j ON j.id = w.job AND j.state = 'running'
WHERE w.state = 'waiting' AND w.available_at < 'infinity' AND w.job > %(after)s
  -- A rebuild that waits for its index has not been tried in vain.
  AND (w.work NOT IN ('rebuild', 'replace') OR w.tries > 0)
  AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.job = w.job AND b.state IN ('ready', 'running'))
ORDER BY w.job LIMIT %(limit)s;
