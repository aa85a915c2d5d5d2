-- retrying -> running
WITH locked AS (
    SELECT id FROM job WHERE id = ANY (%(ids)s::uuid[]) AND state = 'retrying' ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE job j SET state = 'running', events = events + 1, detail = NULL, updated_at = ledger_now()
    FROM locked WHERE j.id = locked.id AND j.state = 'retrying'
    RETURNING j.id, j.events
)
INSERT INTO job_event (job, number, state) SELECT id, events, 'running' FROM changed RETURNING job AS id;
