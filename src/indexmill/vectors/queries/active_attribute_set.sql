SELECT s.number, s.attributes, s.seq
FROM collection c JOIN attribute_set s ON s.number = c.attribute_set
WHERE c.id = %(collection)s;
