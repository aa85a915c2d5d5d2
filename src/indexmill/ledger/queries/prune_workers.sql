DELETE FROM worker WHERE id IN (
    SELECT id FROM worker WHERE seen_at < ledger_now() - interval '1 hour' LIMIT %(limit)s
)
RETURNING id;
