DELETE FROM job WHERE id IN (
    SELECT id FROM job
    WHERE finished_at < ledger_now() - make_interval(secs => %(days)s * 86400)
    ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id;
