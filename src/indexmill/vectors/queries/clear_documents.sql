DELETE FROM document WHERE collection = %(collection)s;
