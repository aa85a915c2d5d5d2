-- A job that changes a whole collection: one item, which waits for the collection's turn.
WITH new_job AS (
    INSERT INTO job (id, tenant, kind, seq, state, events, collection, model, lane, total_items, submitted_by, queued_at)
    SELECT %(id)s, tenant, %(kind)s, next_job_seq(id), 'queued', 1, id, model,
           tenant_lane(tenant, 'structural'), 1, %(submitted_by)s, ledger_now()
    FROM collection WHERE id = %(collection)s AND deleted_at IS NULL
    RETURNING id, lane, queued_at
), new_batch AS (
    INSERT INTO batch (job, ordinal, state, lane, work, rank, first_position, items, bytes, available_at)
    SELECT id, 0, 'waiting', lane, %(work)s, queued_at, 0, 1, 1073741824, 'infinity' FROM new_job
), new_body AS (
    INSERT INTO batch_body (job, ordinal, body) SELECT id, 0, %(body)s FROM new_job
)
INSERT INTO job_event (job, number, state) SELECT id, 1, 'queued' FROM new_job RETURNING job AS id;
