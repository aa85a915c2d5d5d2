-- The first ready batch of each lane that is not stopped; lanes are few, each is one index probe.
SELECT l.name AS lane, t.id AS tenant, t.weight, head.rank, extract(epoch FROM ledger_now() - head.available_at) AS waited
FROM lane l
JOIN tenant t ON t.id = coalesce(l.tenant, 1)
CROSS JOIN LATERAL (
    SELECT b.rank, b.available_at FROM batch b
    WHERE b.lane = l.name AND b.state = 'ready'
    ORDER BY b.rank, b.job, b.ordinal LIMIT 1
) head
WHERE l.stopped_at IS NULL OR l.probe_at <= ledger_now()
ORDER BY head.rank;
