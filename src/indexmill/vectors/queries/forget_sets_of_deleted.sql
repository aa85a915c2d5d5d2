-- Of a collection that is gone no filter sees any set.
UPDATE collection SET attribute_set = NULL, prepared_set = NULL WHERE id = %(collection)s AND deleted_at IS NOT NULL;
