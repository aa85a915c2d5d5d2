INSERT INTO pipeline_total AS t (worker, windows, items, embedded, tokens)
VALUES (%(worker)s, 1, %(items)s, %(embedded)s, %(tokens)s)
ON CONFLICT (worker) DO UPDATE
SET windows = t.windows + 1, items = t.items + excluded.items, embedded = t.embedded + excluded.embedded,
    tokens = t.tokens + excluded.tokens, updated_at = ledger_now();
