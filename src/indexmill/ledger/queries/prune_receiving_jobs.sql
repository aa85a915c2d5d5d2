-- Uploads that stopped in the middle.
DELETE FROM job WHERE id IN (
    SELECT id FROM job
    WHERE finished_at IS NULL AND state = 'receiving' AND updated_at < ledger_now() - make_interval(secs => %(hours)s * 3600)
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id;
