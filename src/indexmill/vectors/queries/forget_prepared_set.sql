UPDATE collection SET prepared_set = NULL WHERE id = %(collection)s AND prepared_set = %(number)s;
