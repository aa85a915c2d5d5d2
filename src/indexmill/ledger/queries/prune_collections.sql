-- Deleted ones that nothing names any more: no job, no knowledge base, no document that is remembered as deleted, and no
-- table of theirs that is still to be dropped.
WITH old AS (
    SELECT c.id FROM collection c
    WHERE c.deleted_at < ledger_now() - make_interval(secs => %(days)s * 86400)
      AND NOT EXISTS (SELECT 1 FROM job j WHERE j.collection = c.id)
      AND NOT EXISTS (SELECT 1 FROM knowledge_base k WHERE k.collection = c.id)
      AND NOT EXISTS (SELECT 1 FROM document d WHERE d.collection = c.id)
      AND NOT EXISTS (SELECT 1 FROM attribute_set s WHERE s.collection = c.id)
      -- '`' follows '_': all names that begin so.
      AND NOT EXISTS (
          SELECT 1 FROM pg_class t
          WHERE t.relname >= format('chunk_%%s_', c.id)::name AND t.relname < format('chunk_%%s`', c.id)::name
      )
    ORDER BY c.deleted_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), said AS (
    DELETE FROM corpus USING old WHERE corpus.collection = old.id
)
DELETE FROM collection USING old WHERE collection.id = old.id RETURNING collection.id;
