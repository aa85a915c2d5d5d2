SELECT id, provider, settings, dimension, created_at FROM model
WHERE tenant = %(tenant)s AND withdrawn_at IS NULL ORDER BY id;
