SELECT attributes FROM attribute_set WHERE number = %(number)s;
