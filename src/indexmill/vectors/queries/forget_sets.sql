UPDATE collection SET attribute_set = NULL, prepared_set = NULL WHERE id = %(collection)s;
