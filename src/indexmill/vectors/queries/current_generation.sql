SELECT generation FROM collection WHERE id = %(collection)s;
