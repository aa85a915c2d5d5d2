SELECT c.id AS collection, c.name, c.splitting, c.generation, c.min_seq, c.attribute_set, c.prepared_set, c.next_generation,
       c.deleted_at IS NOT NULL AS is_deleted,
       CASE WHEN c.indexed_generation = c.generation THEN c.ef_search END AS ef_search, m.id, m.provider, m.settings,
       m.dimension, m.created_at
FROM collection c JOIN model m ON m.tenant = c.tenant AND m.id = c.model
WHERE c.tenant = %(tenant)s AND c.name = %(name)s AND c.deleted_at IS NULL;
