SELECT s.number FROM attribute_set s JOIN collection c ON c.id = s.collection
WHERE s.collection = %(collection)s AND s.number IS DISTINCT FROM c.attribute_set
  AND s.number IS DISTINCT FROM c.prepared_set
ORDER BY s.number;
