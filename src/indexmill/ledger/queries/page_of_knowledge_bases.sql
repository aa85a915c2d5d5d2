SELECT k.id, k.name, k.details, k.created_at, k.updated_at, k.collection AS collection_id, c.name AS collection, c.model
FROM knowledge_base k JOIN collection c ON c.id = k.collection
WHERE k.tenant = %(tenant)s AND k.deleted_at IS NULL
ORDER BY k.created_at DESC, k.id DESC
LIMIT %(limit)s OFFSET %(offset)s;
