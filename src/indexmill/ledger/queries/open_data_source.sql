-- What a worker needs to read from it; a deleted one too, so that its worker can say what happened.
SELECT s.id, s.knowledge_base, s.kind, s.settings, s.secrets, s.chunking, k.collection
FROM data_source s JOIN knowledge_base k ON k.id = s.knowledge_base
WHERE s.id = %(id)s;
