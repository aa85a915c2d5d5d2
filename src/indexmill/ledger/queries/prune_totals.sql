-- The totals of processes that are gone are folded into one row.
WITH gone AS (
    DELETE FROM pipeline_total WHERE worker IN (
        SELECT worker FROM pipeline_total
        WHERE worker <> 'earlier' AND updated_at < ledger_now() - interval '1 hour' LIMIT %(limit)s
    )
    RETURNING *
)
INSERT INTO pipeline_total AS t (worker, windows, items, embedded, tokens)
SELECT 'earlier', sum(windows), sum(items), sum(embedded), sum(tokens) FROM gone
HAVING count(*) > 0
ON CONFLICT (worker) DO UPDATE
SET windows = t.windows + excluded.windows, items = t.items + excluded.items,
    embedded = t.embedded + excluded.embedded, tokens = t.tokens + excluded.tokens
RETURNING worker;
