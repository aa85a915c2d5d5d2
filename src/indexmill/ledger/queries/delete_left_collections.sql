-- Collections of deleted knowledge bases, once nothing is in them and no job is about them. One into which another front
-- door has put documents stays. What is submitted at this moment loses, as in delete_collection.sql.
UPDATE collection
SET deleted_at = ledger_now(), next_generation = NULL, name = deleted_name(name, id), min_seq = 9223372036854775807
WHERE deleted_at IS NULL AND id IN (
    SELECT c.id FROM knowledge_base k JOIN collection c ON c.id = k.collection
    WHERE k.deleted_at IS NOT NULL AND c.deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM job j WHERE j.collection = c.id AND j.finished_at IS NULL)
      AND NOT EXISTS (SELECT FROM document d WHERE d.collection = c.id AND d.deleted_at IS NULL)
    LIMIT %(limit)s
)
RETURNING id;
