SELECT job, ordinal FROM batch
WHERE lease = %(token)s AND state = 'running'
ORDER BY job, ordinal FOR UPDATE;
