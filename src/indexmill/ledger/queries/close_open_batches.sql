-- Taking the lease away is what makes a cancel final: a commit under way goes on only with batches that hold it.
WITH locked AS (
    SELECT job, ordinal FROM batch
    WHERE job = %(id)s AND state IN ('ready', 'waiting', 'running')
    ORDER BY job, ordinal FOR UPDATE
)
UPDATE batch b
SET state = 'cancelled', lease = NULL, ended_at = ledger_now(),
    cancelled = items - (indexed + unchanged + payload_updated + superseded + removed + absent + failed)
FROM locked
WHERE b.job = locked.job AND b.ordinal = locked.ordinal AND b.state IN ('ready', 'waiting', 'running')
RETURNING b.ordinal;
