-- Newest first. The row comparison with `after` is what makes a page's cost independent of its depth.
SELECT j.id, j.external_id, j.tenant, j.kind, j.state, j.reason, j.detail, c.name AS collection, j.model, j.attempt,
       j.total_items, j.created_at, j.updated_at, j.started_at, j.finished_at,
       CASE WHEN j.finished_at IS NULL THEN s.indexed ELSE j.indexed END AS indexed,
       CASE WHEN j.finished_at IS NULL THEN s.unchanged ELSE j.unchanged END AS unchanged,
       CASE WHEN j.finished_at IS NULL THEN s.payload_updated ELSE j.payload_updated END AS payload_updated,
       CASE WHEN j.finished_at IS NULL THEN s.superseded ELSE j.superseded END AS superseded,
       CASE WHEN j.finished_at IS NULL THEN s.removed ELSE j.removed END AS removed,
       CASE WHEN j.finished_at IS NULL THEN s.absent ELSE j.absent END AS absent,
       CASE WHEN j.finished_at IS NULL THEN s.failed ELSE j.failed END AS failed,
       CASE WHEN j.finished_at IS NULL THEN s.cancelled ELSE j.cancelled END AS cancelled,
       CASE WHEN j.finished_at IS NULL THEN s.chunks ELSE j.chunks END AS chunks,
       CASE WHEN j.finished_at IS NULL THEN s.tokens ELSE j.tokens END AS tokens,
       CASE WHEN j.finished_at IS NULL THEN s.embedded ELSE j.embedded END AS embedded
FROM (
    SELECT * FROM job j
    WHERE j.tenant = %(tenant)s
      AND j.kind = ANY (%(kinds)s::text[])
      AND j.seq IS NOT NULL
      AND (%(states)s::text[] IS NULL OR j.state = ANY (%(states)s::text[]))
      AND (%(is_open)s::boolean IS NOT TRUE OR j.finished_at IS NULL)
      AND (%(reasons)s::text[] IS NULL OR j.reason = ANY (%(reasons)s::text[]))
      AND (%(collection)s::text IS NULL OR j.collection =
           (SELECT id FROM collection WHERE tenant = %(tenant)s AND name = %(collection)s))
      AND (%(model)s::text IS NULL OR j.model = %(model)s)
      AND (%(created_from)s::timestamptz IS NULL OR j.created_at >= %(created_from)s)
      AND (%(created_before)s::timestamptz IS NULL OR j.created_at < %(created_before)s)
      AND (%(after_id)s::uuid IS NULL OR (j.created_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
    ORDER BY j.created_at DESC, j.id DESC
    LIMIT %(limit)s OFFSET %(offset)s
) j
JOIN collection c ON c.id = j.collection
-- Progress of an unfinished job is summed on read; an ended one has its sums in its row.
LEFT JOIN LATERAL (
    SELECT sum(b.indexed) AS indexed, sum(b.unchanged) AS unchanged, sum(b.payload_updated) AS payload_updated,
           sum(b.superseded) AS superseded, sum(b.removed) AS removed, sum(b.absent) AS absent,
           sum(b.failed) AS failed, sum(b.cancelled) AS cancelled, sum(b.chunks) AS chunks, sum(b.tokens) AS tokens,
           sum(b.embedded) AS embedded
    FROM batch b WHERE b.job = j.id AND j.finished_at IS NULL
) s ON true
ORDER BY j.created_at DESC, j.id DESC;
