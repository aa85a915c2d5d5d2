SELECT count(*) AS total FROM knowledge_base WHERE tenant = %(tenant)s AND deleted_at IS NULL;
