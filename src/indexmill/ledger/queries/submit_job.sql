-- One statement, one commit: job, batches, bodies, first event. No row: the model is not deployed or the id is taken.
WITH target AS (
    SELECT c.id AS collection, c.name, l.name AS lane
    FROM collection c
    JOIN model m ON m.tenant = c.tenant AND m.id = c.model AND m.withdrawn_at IS NULL
    JOIN lane l ON CASE WHEN %(deletes)s THEN l.name = 'delete' ELSE l.tenant = c.tenant AND l.model = c.model END
    WHERE c.tenant = %(tenant)s AND c.name = %(model)s
), new_job AS (
    INSERT INTO job (id, tenant, kind, external_id, seq, state, events, collection, model, lane, fingerprint,
                     total_items, batches, queued_at)
    SELECT %(id)s, %(tenant)s, %(kind)s, %(external_id)s, nextval('job_seq'), 'queued', 1, collection, %(model)s,
           lane, %(fingerprint)s, %(total_items)s, cardinality(%(ordinals)s::integer[]), ledger_now()
    FROM target
    ON CONFLICT (tenant, kind, external_id) WHERE external_id IS NOT NULL DO NOTHING
    RETURNING *
), new_batches AS (
    INSERT INTO batch (job, ordinal, state, lane, rank, first_position, items, bytes, available_at)
    SELECT j.id, b.ordinal, 'ready', j.lane, j.queued_at + b.ordinal * interval '30 seconds',
           b.first_position, b.items, b.size, j.queued_at
    FROM new_job j,
         unnest(%(ordinals)s::integer[], %(first_positions)s::bigint[], %(items)s::integer[], %(sizes)s::integer[])
         AS b (ordinal, first_position, items, size)
), new_bodies AS (
    INSERT INTO batch_body (job, ordinal, body)
    SELECT j.id, b.ordinal, b.body
    FROM new_job j, unnest(%(ordinals)s::integer[], %(bodies)s::bytea[]) AS b (ordinal, body)
), new_event AS (
    INSERT INTO job_event (job, number, state) SELECT id, 1, state FROM new_job
)
SELECT j.id, j.external_id, j.tenant, j.kind, j.state, j.reason, j.detail, t.name AS collection, j.model, j.attempt,
       j.total_items, j.indexed, j.unchanged, j.payload_updated, j.superseded, j.removed, j.absent, j.failed,
       j.cancelled, j.chunks, j.tokens, j.embedded, j.created_at, j.updated_at, j.started_at, j.finished_at
FROM new_job j, target t;
