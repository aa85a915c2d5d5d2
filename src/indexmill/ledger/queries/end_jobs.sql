-- queued, running, retrying -> succeeded, failed, cancelled; queued -> refused. Copies the sums of the batches, and
-- writes the callback of the end.
WITH ends AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(reasons)s::text[], %(details)s::text[])
             AS e (id, state, reason, detail)
), sums AS (
    SELECT e.id, coalesce(sum(b.indexed), 0) AS indexed, coalesce(sum(b.unchanged), 0) AS unchanged,
           coalesce(sum(b.payload_updated), 0) AS payload_updated, coalesce(sum(b.superseded), 0) AS superseded,
           coalesce(sum(b.removed), 0) AS removed, coalesce(sum(b.absent), 0) AS absent,
           coalesce(sum(b.failed), 0) AS failed, coalesce(sum(b.cancelled), 0) AS cancelled,
           coalesce(sum(b.chunks), 0) AS chunks, coalesce(sum(b.tokens), 0) AS tokens,
           coalesce(sum(b.embedded), 0) AS embedded
    FROM ends e LEFT JOIN batch b ON b.job = e.id GROUP BY e.id
), changed AS (
    UPDATE job j
    SET state = e.state, reason = e.reason, detail = coalesce(e.detail, j.result ->> 'sentence'), events = j.events + 1,
        finished_at = ledger_now(), updated_at = ledger_now(),
        indexed = s.indexed, unchanged = s.unchanged, payload_updated = s.payload_updated,
        superseded = s.superseded, removed = s.removed, absent = s.absent, failed = s.failed,
        cancelled = s.cancelled, chunks = s.chunks, tokens = s.tokens, embedded = s.embedded
    FROM ends e JOIN sums s USING (id)
    WHERE j.id = e.id AND j.state IN ('queued', 'running', 'retrying')
      AND (e.state <> 'refused' OR j.state = 'queued')
    RETURNING j.id, j.events, j.state, j.reason, j.detail, j.kind, j.attempt, j.callback
), told AS (
    SELECT id, attempt, state, reason, detail, callback -> 'amqp' AS amqp,
           -- What a delete was asked for has been done too where a later write of the document came first.
           CASE WHEN state = 'succeeded' OR (kind = 'deletion' AND reason = 'superseded') THEN 'done' ELSE 'error' END
               AS event
    FROM changed WHERE callback IS NOT NULL
), new_callbacks AS (
    INSERT INTO callback_outbox (job, attempt, event, exchange, routing_key, data)
    SELECT id, attempt, event, amqp ->> 'exchange', amqp ->> ('routing_key_' || event),
           jsonb_build_object('state', state, 'reason', reason, 'detail', detail, 'failures', coalesce(
               (SELECT jsonb_agg(jsonb_build_object('stage', f.stage, 'code', f.code) ORDER BY f.position)
                FROM (SELECT stage, code, position FROM failed_item WHERE job = told.id ORDER BY position LIMIT 20) f),
               '[]'))
    FROM told
)
INSERT INTO job_event (job, number, state, reason, detail)
SELECT id, events, state, reason, detail FROM changed
RETURNING job AS id;
