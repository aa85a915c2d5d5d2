SELECT name FROM knowledge_base WHERE collection = %(collection)s AND deleted_at IS NULL;
