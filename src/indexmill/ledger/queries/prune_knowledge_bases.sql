-- Deleted ones that no job names any more, behind their data sources. A collection that is still there stays: it holds other
-- documents.
DELETE FROM knowledge_base WHERE id IN (
    SELECT k.id FROM knowledge_base k
    WHERE k.deleted_at < ledger_now() - make_interval(secs => %(days)s * 86400)
      AND NOT EXISTS (SELECT 1 FROM data_source s WHERE s.knowledge_base = k.id)
      AND NOT EXISTS (SELECT 1 FROM job j WHERE j.knowledge_base = k.id)
    ORDER BY k.deleted_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id;
