INSERT INTO worker (id, slots) VALUES (%(id)s, %(slots)s)
ON CONFLICT (id) DO UPDATE SET slots = excluded.slots, seen_at = ledger_now();
