INSERT INTO attribute_set (collection, attributes) VALUES (%(collection)s, %(attributes)s) RETURNING number;
