-- One row a living document, written with it. Narrow: to look through it costs a fraction of looking through `document`.
-- `misfit`, of documents whose metadata do not fit the set while it is being filled: 1 where that is to be reported,
-- 2 where it has been.
CREATE TABLE {table} (document bigint PRIMARY KEY, misfit smallint NOT NULL DEFAULT 0 {columns});
