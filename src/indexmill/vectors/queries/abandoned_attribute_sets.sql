-- Sets that no filter sees and that nobody fills: switched away from by a job that was killed before it could drop them,
-- prepared by one that was cancelled or has failed, or left by a collection that was deleted.
SELECT s.collection, s.number
FROM attribute_set s JOIN collection c ON c.id = s.collection
WHERE c.deleted_at < ledger_now() - make_interval(secs => %(seconds)s)
   OR (s.number IS DISTINCT FROM c.attribute_set AND NOT EXISTS (
           SELECT FROM job j
           WHERE j.collection = c.id AND j.kind = 'replace_filter_attributes' AND j.finished_at IS NULL
       ) AND s.created_at < ledger_now() - make_interval(secs => %(seconds)s))
ORDER BY s.number LIMIT 100;
