DELETE FROM callback_outbox WHERE id IN (
    SELECT id FROM callback_outbox
    WHERE settled_at < ledger_now() - interval '1 day'
    ORDER BY settled_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id;
