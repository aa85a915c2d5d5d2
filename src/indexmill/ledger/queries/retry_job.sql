-- succeeded, failed, cancelled, refused -> queued, at the old place in the order.
WITH changed AS (
    UPDATE job
    SET state = 'queued', reason = NULL, detail = NULL, attempt = attempt + 1, events = events + 1,
        queued_at = ledger_now(), turn_at = NULL, result = NULL, finished_at = NULL, updated_at = ledger_now()
    WHERE id = %(id)s AND state IN ('succeeded', 'failed', 'cancelled', 'refused')
    RETURNING id, events
)
INSERT INTO job_event (job, number, state) SELECT id, events, 'queued' FROM changed RETURNING job AS id;
