CREATE TABLE IF NOT EXISTS {table} (
    document bigint NOT NULL,
    ordinal integer NOT NULL,
    start_offset bigint NOT NULL,
    end_offset bigint NOT NULL,
    -- Unit length: the inner product is the cosine.
    embedding vector({dimension}) STORAGE {storage} NOT NULL,
    PRIMARY KEY (document, ordinal)
);
