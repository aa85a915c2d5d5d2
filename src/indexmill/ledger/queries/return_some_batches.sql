-- running -> ready, rank kept, no loss counted: of a window that goes on with its other batches.
WITH held AS (
    SELECT job, ordinal FROM batch
    WHERE lease = %(token)s AND state = 'running'
      AND (job, ordinal) IN (SELECT * FROM unnest(%(jobs)s::uuid[], %(ordinals)s::integer[]))
    ORDER BY job, ordinal FOR UPDATE
)
UPDATE batch b
SET state = 'ready', lease = NULL, available_at = ledger_now()
FROM held WHERE b.job = held.job AND b.ordinal = held.ordinal
RETURNING b.job, b.ordinal;
