SELECT EXISTS (SELECT 1 FROM document WHERE collection = %(collection)s AND deleted_at IS NULL) AS found;
