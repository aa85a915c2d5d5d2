SELECT id FROM job
WHERE id IN (SELECT job FROM batch WHERE lease = %(token)s AND state = 'running')
ORDER BY id FOR NO KEY UPDATE;
