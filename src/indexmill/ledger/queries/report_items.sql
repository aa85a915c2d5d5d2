-- Failed items beside the one item of a job that changes a whole collection, as batches that are decided; the job is
-- locked.
WITH reported AS (
    SELECT * FROM unnest(%(ordinals)s::integer[], %(first_positions)s::bigint[], %(items)s::integer[],
                         %(outcomes)s::bytea[]) AS r (ordinal, first_position, items, outcomes)
), grown AS (
    UPDATE job
    SET total_items = total_items + (SELECT sum(items) FROM reported), updated_at = ledger_now()
    WHERE id = %(job)s
    RETURNING id, lane, queued_at
)
INSERT INTO batch (job, ordinal, state, lane, work, rank, first_position, items, bytes, available_at, outcomes, failed,
                   ended_at)
SELECT g.id, r.ordinal, 'done', g.lane, %(work)s, g.queued_at, r.first_position, r.items, 0, ledger_now(), r.outcomes,
       r.items, ledger_now()
FROM grown g, reported r;
