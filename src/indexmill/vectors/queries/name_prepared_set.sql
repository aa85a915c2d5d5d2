UPDATE collection SET prepared_set = %(number)s WHERE id = %(collection)s;
