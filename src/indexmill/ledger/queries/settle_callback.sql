-- Delivered, or given up.
UPDATE callback_outbox SET settled_at = ledger_now(), given_up = %(given_up)s, problem = %(problem)s
WHERE id = %(id)s AND settled_at IS NULL
RETURNING id;
