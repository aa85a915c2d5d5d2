SELECT s.number, s.attributes
FROM collection c JOIN attribute_set s ON s.number = c.attribute_set
WHERE c.id = %(collection)s;
