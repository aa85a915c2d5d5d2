-- Kept by the connection and emptied by every commit: making one costs more than a small window's writing. Behind a
-- pooler each transaction makes it where its connection has none. Its name carries its layout's version.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_2 (
    item integer NOT NULL,
    id text NOT NULL,
    seq bigint NOT NULL,
    position bigint NOT NULL,
    outcome smallint NOT NULL,
    fingerprint bytea,
    payload_hash bytea,
    text text,
    payload jsonb,
    item_info jsonb,
    structure jsonb,
    parts jsonb,
    starts bigint[],
    ends bigint[],
    chunk_parts bigint[],
    embeddings vector[]
) ON COMMIT DELETE ROWS;
