-- receiving -> queued: takes the external id and the place in the order, opens the batches.
WITH changed AS (
    UPDATE job
    SET state = 'queued', external_id = %(external_id)s, fingerprint = %(fingerprint)s,
        seq = next_job_seq(collection), distinct_ids = %(distinct_ids)s,
        total_items = %(total_items)s, events = 1, queued_at = ledger_now(), updated_at = ledger_now(),
        callback = %(callback)s::jsonb
    WHERE id = %(id)s AND state = 'receiving'
      -- Deleted while its items came: nothing would ever remove what it would write.
      AND EXISTS (SELECT FROM collection c WHERE c.id = job.collection AND c.deleted_at IS NULL)
    RETURNING id, state, queued_at
), event AS (
    INSERT INTO job_event (job, number, state) SELECT id, 1, state FROM changed
)
UPDATE batch b
SET state = 'ready', rank = c.queued_at + b.ordinal * interval '30 seconds', available_at = c.queued_at
FROM changed c
WHERE b.job = c.id AND b.state = 'waiting'
RETURNING b.ordinal;
