-- Each step once an attempt. The lock waits for an end under way, so that nothing is reported after it.
WITH told AS (
    SELECT id, attempt, callback -> 'amqp' AS amqp FROM job
    WHERE id = ANY (%(ids)s::uuid[]) AND callback IS NOT NULL AND finished_at IS NULL
    ORDER BY id FOR SHARE
)
INSERT INTO callback_outbox (job, attempt, event, exchange, routing_key, data)
SELECT id, attempt, 'progress', amqp ->> 'exchange', amqp ->> 'routing_key_progress',
       jsonb_build_object('current_step', %(step)s::text, 'percentage', %(percentage)s::integer)
FROM told
ON CONFLICT DO NOTHING
RETURNING id;
