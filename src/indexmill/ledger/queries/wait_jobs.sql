-- running -> retrying, where every open batch waits. The jobs are locked already.
WITH changed AS (
    UPDATE job j SET state = 'retrying', events = events + 1, detail = %(detail)s, updated_at = ledger_now()
    WHERE j.id = ANY (%(ids)s::uuid[]) AND j.state = 'running'
      AND EXISTS (SELECT 1 FROM batch b WHERE b.job = j.id AND b.state = 'waiting')
      AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.job = j.id AND b.state IN ('ready', 'running'))
    RETURNING j.id, j.events
)
INSERT INTO job_event (job, number, state, detail)
SELECT id, events, 'retrying', %(detail)s FROM changed RETURNING job AS id;
