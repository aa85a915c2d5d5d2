-- queued -> running, with the first callback of its progress; a deletion has no steps.
WITH locked AS (
    SELECT id FROM job WHERE id = ANY (%(ids)s::uuid[]) AND state = 'queued' ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE job j
    SET state = 'running', events = events + 1, started_at = coalesce(started_at, ledger_now()),
        updated_at = ledger_now()
    FROM locked WHERE j.id = locked.id AND j.state = 'queued'
    RETURNING j.id, j.events, j.kind, j.attempt, j.callback
), new_callbacks AS (
    INSERT INTO callback_outbox (job, attempt, event, exchange, routing_key, data)
    SELECT id, attempt, 'progress', callback #>> '{amqp,exchange}', callback #>> '{amqp,routing_key_progress}',
           '{"current_step": "Validation", "percentage": 0}'
    FROM changed WHERE callback IS NOT NULL AND kind <> 'deletion'
    ON CONFLICT DO NOTHING
)
INSERT INTO job_event (job, number, state) SELECT id, events, 'running' FROM changed RETURNING job AS id;
