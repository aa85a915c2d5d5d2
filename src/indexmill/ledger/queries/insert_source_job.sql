-- A job that scans data sources, a batch a source. Each scan is a window of its own: its size says so.
WITH new_job AS (
    INSERT INTO job (id, tenant, kind, seq, state, events, collection, model, lane, knowledge_base, total_items,
                     submitted_by, queued_at)
    SELECT %(id)s, k.tenant, %(kind)s, next_job_seq(c.id), 'queued', 1, c.id, c.model,
           CASE WHEN %(kind)s = 'cleanup' THEN tenant_lane(k.tenant, 'delete') ELSE c.lane END, k.id, cardinality(%(sources)s::uuid[]),
           %(submitted_by)s, ledger_now()
    FROM knowledge_base k JOIN collection c ON c.id = k.collection
    WHERE k.id = %(knowledge_base)s
    RETURNING id, tenant, queued_at
), wanted AS (
    SELECT j.id AS job, j.tenant, j.queued_at, w.source, w.body, (w.place - 1)::integer AS ordinal
    FROM new_job j, unnest(%(sources)s::uuid[], %(bodies)s::bytea[]) WITH ORDINALITY AS w (source, body, place)
), new_batches AS (
    INSERT INTO batch (job, ordinal, state, lane, work, source, rank, first_position, items, bytes, available_at)
    SELECT job, ordinal, 'ready', tenant_lane(tenant, 'scan'), 'scan', source, queued_at, ordinal, 1, 1073741824, queued_at
    FROM wanted
), new_bodies AS (
    INSERT INTO batch_body (job, ordinal, body) SELECT job, ordinal, body FROM wanted
), new_sources AS (
    INSERT INTO job_source (job, source, ordinal, phase) SELECT job, source, ordinal, %(phase)s FROM wanted
)
INSERT INTO job_event (job, number, state) SELECT id, 1, 'queued' FROM new_job RETURNING job AS id;
