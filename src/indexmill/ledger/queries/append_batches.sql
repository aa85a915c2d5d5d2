-- What a scan has found, as batches of its job, which is locked. Those that are decided already come with outcomes.
WITH wanted AS (
    SELECT * FROM unnest(%(ordinals)s::integer[], %(works)s::text[], %(first_positions)s::bigint[],
                         %(items)s::integer[], %(sizes)s::integer[], %(source_bytes)s::bigint[],
                         %(outcomes)s::bytea[], %(unchanged)s::integer[], %(failed)s::integer[], %(chunks)s::bigint[],
                         %(bodies)s::bytea[])
         AS w (ordinal, work, first_position, items, size, source_bytes, outcomes, unchanged, failed, chunks, body)
), grown AS (
    UPDATE job
    SET total_items = total_items + (SELECT sum(items) FROM wanted), updated_at = ledger_now()
    WHERE id = %(job)s
    RETURNING id, queued_at, collection
), new_batches AS (
    INSERT INTO batch (job, ordinal, state, lane, work, source, source_bytes, rank, first_position, items, bytes,
                       available_at, outcomes, unchanged, failed, chunks, ended_at)
    SELECT g.id, w.ordinal, CASE WHEN w.outcomes IS NULL THEN 'ready' ELSE 'done' END,
           CASE w.work WHEN 'delete' THEN tenant_lane(c.tenant, 'delete') ELSE c.lane END, w.work, %(source)s, w.source_bytes,
           g.queued_at + w.ordinal * interval '1 second', w.first_position, w.items, w.size, ledger_now(), w.outcomes,
           w.unchanged, w.failed, w.chunks, CASE WHEN w.outcomes IS NOT NULL THEN ledger_now() END
    FROM grown g JOIN collection c ON c.id = g.collection, wanted w
), new_spooled AS (
    INSERT INTO spooled_input (job, reference)
    SELECT DISTINCT g.id, s.reference FROM grown g, unnest(%(references)s::text[]) AS s (reference)
    ON CONFLICT DO NOTHING
)
INSERT INTO batch_body (job, ordinal, body) SELECT g.id, w.ordinal, w.body FROM grown g, wanted w;
