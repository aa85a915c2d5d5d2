-- As lock_knowledge_base, also of one that is deleted; a job over no knowledge base locks none.
SELECT k.id FROM job j JOIN knowledge_base k ON k.id = j.knowledge_base WHERE j.id = %(id)s FOR NO KEY UPDATE OF k;
