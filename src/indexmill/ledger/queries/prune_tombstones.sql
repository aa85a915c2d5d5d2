-- A tombstone lives while an older job of the collection is unfinished or can be retried: it would bring back
-- what was deleted.
DELETE FROM document WHERE key IN (
    SELECT d.key FROM document d
    WHERE d.deleted_at < ledger_now() - make_interval(secs => %(days)s * 86400)
      AND NOT EXISTS (
          SELECT 1 FROM job j
          WHERE j.collection = d.collection AND j.seq < d.seq
            AND j.kind NOT IN ('deletion', 'cleanup', 'rebuild', 'replace_filter_attributes')
            AND (j.finished_at IS NULL OR j.failed + j.cancelled > 0 AND j.bodies_deleted_at IS NULL)
      )
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING key;
