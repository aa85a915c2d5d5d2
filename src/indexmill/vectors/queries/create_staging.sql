CREATE TEMPORARY TABLE staged (
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
    starts bigint[],
    ends bigint[],
    embeddings vector[]
) ON COMMIT DROP;
