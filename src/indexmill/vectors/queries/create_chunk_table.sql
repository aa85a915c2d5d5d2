CREATE TABLE IF NOT EXISTS {table} (
    document bigint NOT NULL,
    ordinal integer NOT NULL,
    -- Which of the document's parts it lies in, counted from 1; 0: in none.
    part integer NOT NULL DEFAULT 0,
    start_offset bigint NOT NULL,
    end_offset bigint NOT NULL,
    -- Unit length: the inner product is the cosine.
    embedding vector({dimension}) STORAGE {storage} NOT NULL,
    PRIMARY KEY (document, ordinal)
);
