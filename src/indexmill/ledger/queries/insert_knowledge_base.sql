INSERT INTO knowledge_base (id, tenant, collection, name, details)
VALUES (%(id)s, %(tenant)s, %(collection)s, %(name)s, %(details)s);
