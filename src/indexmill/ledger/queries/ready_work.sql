SELECT r.batches, extract(epoch FROM ledger_now() - r.since) AS waited,
       coalesce((SELECT sum(slots) FROM worker WHERE seen_at > ledger_now() - interval '10 s'), 0)::integer AS slots
FROM (
    SELECT count(*) AS batches, min(available_at) AS since FROM (
        SELECT b.available_at FROM lane_head head
        CROSS JOIN LATERAL (
            SELECT available_at FROM batch WHERE lane = head.lane AND state = 'ready'
            ORDER BY rank, job, ordinal LIMIT 1000
        ) b
        LIMIT 1000
    ) first_ready
) r;
