-- Deleted ones that no job names any more, and of which nothing is indexed: a source whose documents could not all be
-- removed stays known.
DELETE FROM data_source WHERE id IN (
    SELECT s.id FROM data_source s
    WHERE s.deleted_at < ledger_now() - make_interval(secs => %(days)s * 86400)
      AND NOT EXISTS (SELECT 1 FROM job_source j WHERE j.source = s.id)
      AND NOT EXISTS (SELECT 1 FROM source_file f WHERE f.source = s.id)
    ORDER BY s.deleted_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id;
