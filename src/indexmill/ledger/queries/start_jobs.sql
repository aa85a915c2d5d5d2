-- queued -> running
WITH locked AS (
    SELECT id FROM job WHERE id = ANY (%(ids)s::uuid[]) AND state = 'queued' ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE job j
    SET state = 'running', events = events + 1, started_at = coalesce(started_at, ledger_now()),
        updated_at = ledger_now()
    FROM locked WHERE j.id = locked.id AND j.state = 'queued'
    RETURNING j.id, j.events
)
INSERT INTO job_event (job, number, state) SELECT id, events, 'running' FROM changed RETURNING job AS id;
