-- What is due becomes due again later, so that nobody else sends it meanwhile; of each job only the oldest.
WITH due AS (
    SELECT o.id FROM callback_outbox o
    WHERE o.settled_at IS NULL AND o.due_at <= ledger_now()
      AND NOT EXISTS (SELECT 1 FROM callback_outbox e WHERE e.job = o.job AND e.id < o.id AND e.settled_at IS NULL)
    ORDER BY o.due_at, o.id LIMIT %(limit)s
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE callback_outbox o
SET due_at = ledger_now() + make_interval(secs => %(seconds)s), tries = o.tries + 1
FROM due, job j
WHERE o.id = due.id AND j.id = o.job
RETURNING o.id, o.job, o.attempt, o.event, o.exchange, o.routing_key, o.data, o.created_at, o.tries,
          coalesce(extract(epoch FROM ledger_now() - o.refused_at), 0)::float8 AS refused_seconds,
          j.callback -> 'properties' AS properties;
