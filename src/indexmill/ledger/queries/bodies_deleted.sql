SELECT id FROM job WHERE id = %(id)s AND bodies_deleted_at IS NOT NULL;
