-- Claimed and not sent: due again at once, and no try.
UPDATE callback_outbox SET due_at = ledger_now(), tries = greatest(tries - 1, 0)
WHERE id = ANY (%(ids)s::bigint[]) AND settled_at IS NULL
RETURNING id;
