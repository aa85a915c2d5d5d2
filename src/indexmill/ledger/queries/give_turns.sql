-- Where no job that changes a whole collection has the turn, the one that was queued first gets it.
WITH first AS (
    SELECT DISTINCT ON (j.collection) j.id FROM job j
    WHERE j.kind IN ('rebuild', 'replace_filter_attributes') AND j.finished_at IS NULL AND j.turn_at IS NULL
      AND NOT EXISTS (
          SELECT 1 FROM job h WHERE h.collection = j.collection AND h.turn_at IS NOT NULL AND h.finished_at IS NULL
      )
    ORDER BY j.collection, j.queued_at, j.id
), locked AS (
    SELECT j.id FROM job j JOIN first USING (id)
    WHERE j.turn_at IS NULL AND j.finished_at IS NULL
    ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED
), turned AS (
    UPDATE job j SET turn_at = ledger_now() FROM locked WHERE j.id = locked.id RETURNING j.id
)
UPDATE batch b SET state = 'ready', available_at = ledger_now()
FROM turned WHERE b.job = turned.id AND b.state = 'waiting' AND b.available_at = 'infinity'
RETURNING b.job;
