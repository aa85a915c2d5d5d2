-- One statement, one commit for one or several jobs: jobs, batches, bodies, first events. A job without a row in the
-- answer was not stored: its model is not deployed, or its external id is taken.
WITH wanted AS (
    SELECT w.*, c.id AS collection, c.name, CASE WHEN w.deletes THEN tenant_lane(w.tenant, 'delete') ELSE c.lane END AS lane
    FROM unnest(%(ids)s::uuid[], %(tenants)s::integer[], %(kinds)s::text[], %(external_ids)s::text[],
                %(models)s::text[], %(collections)s::text[], %(numbers)s::integer[], %(documents)s::text[],
                %(deletes)s::boolean[], %(fingerprints)s::bytea[], %(totals)s::bigint[], %(distinct_ids)s::boolean[],
                %(submitters)s::text[])
         WITH ORDINALITY AS w (id, tenant, kind, external_id, model, collection_name, number, document, deletes,
                               fingerprint, total_items, distinct_ids, submitted_by, place)
    JOIN collection c ON c.tenant = w.tenant AND c.name = w.collection_name AND c.deleted_at IS NULL
                     AND c.id = coalesce(w.number, c.id)
    JOIN model m ON m.tenant = c.tenant AND m.id = c.model AND m.withdrawn_at IS NULL
), new_jobs AS (
    INSERT INTO job (id, tenant, kind, external_id, seq, state, events, collection, model, lane, document, fingerprint,
                     total_items, distinct_ids, submitted_by, queued_at, callback)
    SELECT id, tenant, kind, external_id, next_job_seq(collection), 'queued', 1, collection, model, lane, document,
           fingerprint, total_items, distinct_ids, submitted_by, ledger_now(), %(callbacks)s::jsonb -> id::text
    FROM (SELECT * FROM wanted ORDER BY place) in_order
    ON CONFLICT (tenant, kind, external_id) WHERE external_id IS NOT NULL DO NOTHING
    RETURNING *
), new_batches AS (
    INSERT INTO batch (job, ordinal, state, lane, work, rank, first_position, items, bytes, available_at)
    SELECT j.id, b.ordinal, 'ready', j.lane,
           CASE j.lane WHEN tenant_lane(j.tenant, 'delete') THEN 'delete' ELSE 'write' END, j.queued_at + b.ordinal * interval '30 seconds',
           b.first_position, b.items, b.size, j.queued_at
    FROM new_jobs j
    JOIN unnest(%(jobs)s::uuid[], %(ordinals)s::integer[], %(first_positions)s::bigint[], %(items)s::integer[],
                %(sizes)s::integer[])
         AS b (job, ordinal, first_position, items, size) ON b.job = j.id
), new_bodies AS (
    INSERT INTO batch_body (job, ordinal, body)
    SELECT j.id, b.ordinal, b.body
    FROM new_jobs j
    JOIN unnest(%(jobs)s::uuid[], %(ordinals)s::integer[], %(bodies)b::bytea[]) AS b (job, ordinal, body)
         ON b.job = j.id
), new_spooled AS (
    INSERT INTO spooled_input (job, reference)
    SELECT DISTINCT j.id, s.reference
    FROM new_jobs j
    JOIN unnest(%(spooled_jobs)s::uuid[], %(references)s::text[]) AS s (job, reference) ON s.job = j.id
), new_events AS (
    INSERT INTO job_event (job, number, state) SELECT id, 1, state FROM new_jobs
)
SELECT j.id, j.external_id, j.tenant, j.kind, j.state, j.reason, j.detail, w.name AS collection, j.model, j.attempt,
       j.total_items, j.indexed, j.unchanged, j.payload_updated, j.superseded, j.removed, j.absent, j.failed,
       j.cancelled, j.chunks, j.tokens, j.embedded, j.created_at, j.updated_at, j.started_at, j.finished_at,
       j.submitted_by
FROM new_jobs j JOIN wanted w USING (id);
