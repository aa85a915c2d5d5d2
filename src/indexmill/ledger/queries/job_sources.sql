-- The data sources of these jobs, with the sums of their batches, in one pass over them; a scan's own item is no file.
WITH sums AS (
    SELECT b.job, b.source,
           coalesce(sum(b.items) FILTER (WHERE b.work = 'write'), 0) AS total,
           coalesce(sum(b.indexed + b.payload_updated) FILTER (WHERE b.work = 'write'), 0) AS indexed,
           coalesce(sum(b.unchanged + b.superseded) FILTER (WHERE b.work = 'write'), 0) AS skipped,
           coalesce(sum(b.failed) FILTER (WHERE b.work = 'write'), 0) AS failed,
           coalesce(sum(b.removed + b.absent) FILTER (WHERE b.work = 'delete'), 0) AS removed,
           coalesce(sum(b.cancelled) FILTER (WHERE b.work = 'write'), 0) AS cancelled,
           coalesce(sum(b.chunks) FILTER (WHERE b.work = 'write' AND b.indexed + b.payload_updated > 0), 0) AS chunks,
           coalesce(sum(b.tokens) FILTER (WHERE b.work = 'write'), 0) AS tokens,
           coalesce(sum(b.source_bytes) FILTER (WHERE b.work = 'write'), 0) AS bytes_total,
           coalesce(sum(b.source_bytes) FILTER (WHERE b.work = 'write' AND b.indexed + b.payload_updated > 0), 0)
               AS bytes_indexed,
           count(*) FILTER (WHERE b.state IN ('ready', 'waiting', 'running')) AS open,
           count(*) FILTER (WHERE b.work = 'scan' AND b.failed > 0) AS failed_scans,
           count(*) FILTER (WHERE b.cancelled > 0) AS cancelled_batches,
           max(b.ended_at) AS completed_at
    FROM batch b
    WHERE b.job = ANY (%(jobs)s::uuid[]) AND b.source IS NOT NULL
    GROUP BY b.job, b.source
)
SELECT s.job, s.source, s.started_at, s.error_code, s.error_sentence, sums.total, sums.indexed, sums.skipped, sums.failed, sums.removed, sums.cancelled,
       sums.chunks, sums.tokens, sums.bytes_total, sums.bytes_indexed, sums.open, sums.failed_scans, sums.cancelled_batches,
       sums.completed_at
FROM job_source s JOIN sums ON sums.job = s.job AND sums.source = s.source
WHERE s.job = ANY (%(jobs)s::uuid[])
ORDER BY s.job, s.ordinal;
