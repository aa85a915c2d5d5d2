-- What is not given stays as it is, or was never said.
INSERT INTO corpus (collection, name, description, details)
SELECT id, coalesce(%(name)s, name), coalesce(%(description)s, ''), %(details)s::jsonb
FROM collection WHERE id = %(collection)s AND deleted_at IS NULL
ON CONFLICT (collection) DO UPDATE
SET name = coalesce(%(name)s, corpus.name), description = coalesce(%(description)s, corpus.description),
    details = corpus.details || excluded.details, updated_at = ledger_now();
