-- Batches of a job in `receiving`: waiting for ever, so that no worker claims them before the job is queued.
WITH new_batches AS (
    INSERT INTO batch (job, ordinal, state, lane, work, rank, first_position, items, bytes, available_at)
    SELECT j.id, b.ordinal, 'waiting', j.lane,
           CASE j.lane WHEN tenant_lane(j.tenant, 'delete') THEN 'delete' ELSE 'write' END, 'infinity', b.first_position,
           b.items, b.size, 'infinity'
    FROM job j,
         unnest(%(ordinals)s::integer[], %(first_positions)s::bigint[], %(items)s::integer[], %(sizes)s::integer[])
         AS b (ordinal, first_position, items, size)
    WHERE j.id = %(id)s AND j.state = 'receiving'
    ON CONFLICT (job, ordinal) DO NOTHING
    RETURNING job, ordinal
), touched AS (
    -- The prune sweep goes by this: an upload that goes on is not abandoned.
    UPDATE job SET updated_at = ledger_now() WHERE id = %(id)s AND state = 'receiving'
)
INSERT INTO batch_body (job, ordinal, body)
SELECT n.job, n.ordinal, b.body
FROM new_batches n JOIN unnest(%(ordinals)s::integer[], %(bodies)b::bytea[]) AS b (ordinal, body) USING (ordinal);
