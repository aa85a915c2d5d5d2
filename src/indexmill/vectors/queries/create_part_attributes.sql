-- One row a part of a document that has parts. Chunks name their part; so neither a new splitting nor a new index
-- touches this table, and other attributes touch no chunk.
CREATE TABLE {table} (
    document bigint NOT NULL,
    part integer NOT NULL,
    lang text COLLATE "C" {columns},
    PRIMARY KEY (document, part)
);
