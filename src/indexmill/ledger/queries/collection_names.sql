SELECT name FROM collection WHERE tenant = %(tenant)s AND deleted_at IS NULL ORDER BY name LIMIT 100;
