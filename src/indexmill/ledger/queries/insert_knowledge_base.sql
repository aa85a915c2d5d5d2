INSERT INTO knowledge_base (id, tenant, collection, name, details)
SELECT %(id)s, tenant, id, %(name)s, %(details)s FROM collection WHERE id = %(collection)s;
