-- running -> done. The token stays, so that a doubtful commit can be re-read.
UPDATE batch b
SET state = 'done', outcomes = e.outcomes, superseded_by = e.superseded_by, indexed = e.indexed,
    unchanged = e.unchanged, payload_updated = e.payload_updated, superseded = e.superseded, removed = e.removed,
    absent = e.absent, failed = e.failed, cancelled = 0, chunks = e.chunks, tokens = e.tokens,
    embedded = b.embedded + e.embedded, ended_at = ledger_now()
FROM unnest(%(jobs)s::uuid[], %(ordinals)s::integer[], %(outcomes)s::bytea[], %(superseded_by)s::bigint[],
            %(indexed)s::integer[], %(unchanged)s::integer[], %(payload_updated)s::integer[],
            %(superseded)s::integer[], %(removed)s::integer[], %(absent)s::integer[], %(failed)s::integer[],
            %(chunks)s::bigint[], %(tokens)s::bigint[], %(embedded)s::bigint[])
     AS e (job, ordinal, outcomes, superseded_by, indexed, unchanged, payload_updated, superseded, removed, absent,
           failed, chunks, tokens, embedded)
WHERE b.job = e.job AND b.ordinal = e.ordinal AND b.state = 'running'
RETURNING b.job, b.ordinal;
