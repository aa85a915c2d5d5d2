DELETE FROM lease
WHERE token = %(token)s AND expires_at < ledger_now()
  AND NOT EXISTS (SELECT 1 FROM batch WHERE lease = %(token)s AND state = 'running')
RETURNING token;
