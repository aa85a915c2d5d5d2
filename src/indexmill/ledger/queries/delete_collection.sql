UPDATE collection SET deleted_at = ledger_now(), name = deleted_name(name, id)
WHERE id = %(collection)s AND deleted_at IS NULL RETURNING id;
