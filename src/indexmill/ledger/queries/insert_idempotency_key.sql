-- No row: the transaction that has this key is committed. Where it is under way still, its end is waited for.
INSERT INTO idempotency_key (id) VALUES (%(id)s) ON CONFLICT DO NOTHING RETURNING id;
