INSERT INTO data_source (id, knowledge_base, kind, settings, secrets, chunking)
VALUES (%(id)s, %(knowledge_base)s, %(kind)s, %(settings)s, %(secrets)s, %(chunking)s);
