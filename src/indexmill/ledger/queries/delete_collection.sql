UPDATE collection SET deleted_at = ledger_now(), name = left(name, 200) || '~' || id
WHERE id = %(collection)s AND deleted_at IS NULL RETURNING id;
