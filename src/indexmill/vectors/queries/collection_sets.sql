-- The row is locked, so that of two changes of the collection's sets one comes after the other.
SELECT attribute_set, prepared_set FROM collection WHERE id = %(collection)s FOR NO KEY UPDATE;
