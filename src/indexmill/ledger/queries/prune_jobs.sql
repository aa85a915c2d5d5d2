DELETE FROM job WHERE id IN (
    SELECT id FROM job j
    WHERE finished_at < ledger_now() - make_interval(secs => %(days)s * 86400)
      AND NOT EXISTS (SELECT 1 FROM callback_outbox o WHERE o.job = j.id AND o.settled_at IS NULL)
    ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id;
