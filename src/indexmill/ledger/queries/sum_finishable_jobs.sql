-- Those of these locked jobs without an open batch, with their sums and, where all was superseded, by whom.
-- Which jobs those are is settled first: summing the batches of one that goes on would cost their square in all.
WITH closed AS MATERIALIZED (
    SELECT j.id FROM unnest(%(ids)s::uuid[]) AS j (id)
    WHERE NOT EXISTS (SELECT 1 FROM batch b WHERE b.job = j.id AND b.state IN ('ready', 'waiting', 'running'))
)
SELECT j.id, s.*, coalesce(by_job.external_id, by_job.id::text) AS superseded_by
FROM closed j
CROSS JOIN LATERAL (
    SELECT sum(b.indexed) AS indexed, sum(b.unchanged) AS unchanged, sum(b.payload_updated) AS payload_updated,
           sum(b.superseded) AS superseded, sum(b.removed) AS removed, sum(b.absent) AS absent,
           sum(b.failed) AS failed, sum(b.cancelled) AS cancelled, sum(b.chunks) AS chunks, sum(b.tokens) AS tokens,
           sum(b.embedded) AS embedded, max(b.superseded_by) AS superseded_by_seq
    FROM batch b WHERE b.job = j.id
) s
LEFT JOIN job by_job ON by_job.seq = s.superseded_by_seq;
