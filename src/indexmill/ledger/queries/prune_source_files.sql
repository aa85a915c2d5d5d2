-- Of deleted data sources whose collection was deleted before their documents were removed one by one.
DELETE FROM source_file WHERE (source, key) IN (
    SELECT f.source, f.key FROM data_source s
    JOIN knowledge_base k ON k.id = s.knowledge_base
    JOIN collection c ON c.id = k.collection AND c.deleted_at IS NOT NULL
    JOIN source_file f ON f.source = s.id
    WHERE s.deleted_at IS NOT NULL
    LIMIT %(limit)s
)
RETURNING source;
