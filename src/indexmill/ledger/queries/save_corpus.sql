INSERT INTO corpus (collection, name, description, details) VALUES (%(collection)s, %(name)s, %(description)s, %(details)s)
ON CONFLICT (collection) DO UPDATE
SET name = excluded.name, description = excluded.description, details = excluded.details, updated_at = ledger_now();
