-- Whoever starts, ends or changes what belongs to it takes turns.
SELECT id FROM knowledge_base WHERE id = %(id)s AND tenant = %(tenant)s AND deleted_at IS NULL FOR NO KEY UPDATE;
