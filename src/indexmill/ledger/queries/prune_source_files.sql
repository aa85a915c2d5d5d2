-- Of deleted data sources whose documents were not removed one by one: their collection was deleted or reset before that.
DELETE FROM source_file WHERE (source, key) IN (
    SELECT f.source, f.key FROM data_source s
    JOIN knowledge_base k ON k.id = s.knowledge_base
    JOIN collection c ON c.id = k.collection AND (c.deleted_at IS NOT NULL OR c.min_seq > 0)
    JOIN source_file f ON f.source = s.id AND (c.deleted_at IS NOT NULL OR f.seq < c.min_seq)
    WHERE s.deleted_at IS NOT NULL
    LIMIT %(limit)s
)
RETURNING source;
