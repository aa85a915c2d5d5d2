-- Ready batches in rank order, up to the wanted bytes or this slot's share of what is ready (a quarter of the wanted
-- bytes is never shared: a window costs much the same however small it is); at least one.
-- A batch that was lost with its worker is claimed alone; so is one of more bytes than are wanted, for which the others
-- would wait.
WITH ready AS MATERIALIZED (
    SELECT job, ordinal, rank, bytes, losses FROM batch
    WHERE lane = %(lane)s AND state = 'ready'
      AND EXISTS (SELECT 1 FROM lane WHERE name = %(lane)s AND (stopped_at IS NULL OR probe_at <= ledger_now()))
    ORDER BY rank, job, ordinal LIMIT 512
), share AS (
    SELECT sum(bytes) / greatest(1, (SELECT sum(slots) FROM worker WHERE seen_at > ledger_now() - interval '10 s'))
           AS bytes
    FROM ready
), placed AS (
    SELECT job, ordinal, losses, bytes,
           sum(bytes) OVER in_order - bytes AS before,
           first_value(losses) OVER in_order AS first_losses,
           row_number() OVER in_order AS place
    FROM ready
    WINDOW in_order AS (ORDER BY rank, job, ordinal ROWS UNBOUNDED PRECEDING)
), chosen AS MATERIALIZED (
    SELECT placed.job, placed.ordinal FROM placed, share
    WHERE place = 1 OR (losses = 0 AND first_losses = 0 AND placed.bytes <= %(max_bytes)s AND before < least(%(max_bytes)s::bigint, greatest(share.bytes, %(max_bytes)s::bigint / 4)))
), locked AS (
    SELECT b.job, b.ordinal FROM batch b JOIN chosen USING (job, ordinal)
    WHERE b.state = 'ready'
    ORDER BY b.job, b.ordinal
    FOR UPDATE OF b SKIP LOCKED
), claimed AS (
    UPDATE batch b
    SET state = 'running', lease = %(token)s, claims = b.claims + 1
    FROM locked WHERE b.job = locked.job AND b.ordinal = locked.ordinal
    RETURNING b.*
), new_lease AS (
    INSERT INTO lease (token, worker, expires_at, deadline_at)
    SELECT %(token)s, %(worker)s, ledger_now() + make_interval(secs => %(lease_seconds)s),
           ledger_now() + make_interval(secs => %(deadline_seconds)s)
    WHERE EXISTS (SELECT 1 FROM claimed)
), probed AS (
    -- A stopped lane is probed by one worker at a time.
    UPDATE lane SET probe_at = ledger_now() + make_interval(secs => %(probe_seconds)s)
    WHERE name = %(lane)s AND stopped_at IS NOT NULL
    RETURNING name
)
SELECT c.job, c.ordinal, j.kind, c.work, c.source, j.seq, j.force, j.tenant, j.model, j.collection, c.first_position, c.items,
       c.bytes, c.tries, c.losses, c.set_aside, c.outcomes, body.body, j.callback IS NOT NULL AS has_callback, j.distinct_ids,
       j.state = 'queued' AS is_queued,
       EXISTS (SELECT 1 FROM probed) AS probes
FROM claimed c
JOIN job j ON j.id = c.job
-- A batch without its body is given out too: who claims it ends its job.
LEFT JOIN batch_body body ON body.job = c.job AND body.ordinal = c.ordinal
ORDER BY c.rank, c.job, c.ordinal;
