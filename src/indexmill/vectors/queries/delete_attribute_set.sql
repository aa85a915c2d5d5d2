DELETE FROM attribute_set WHERE number = %(number)s;
