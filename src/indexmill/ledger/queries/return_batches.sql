-- running -> ready, rank kept. SKIP LOCKED: a batch in the middle of its commit is not rescued.
WITH held AS (
    SELECT job, ordinal FROM batch
    WHERE lease = %(token)s AND state = 'running'
    ORDER BY job, ordinal FOR UPDATE SKIP LOCKED
)
UPDATE batch b
SET state = 'ready', lease = NULL, available_at = ledger_now(), losses = b.losses + %(lost)s::boolean::integer
FROM held WHERE b.job = held.job AND b.ordinal = held.ordinal
RETURNING b.job, b.ordinal, b.losses, b.first_position, b.items, b.set_aside, b.outcomes;
