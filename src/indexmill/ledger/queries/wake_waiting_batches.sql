-- waiting -> ready when the wait is over.
WITH over AS (
    SELECT job, ordinal FROM batch
    WHERE state = 'waiting' AND available_at <= ledger_now()
    ORDER BY job, ordinal LIMIT 1000 FOR UPDATE SKIP LOCKED
)
UPDATE batch b SET state = 'ready'
FROM over WHERE b.job = over.job AND b.ordinal = over.ordinal
RETURNING b.job;
