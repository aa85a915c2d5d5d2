-- One row a living document, written with it. Narrow: to look through it costs a fraction of looking through `document`.
CREATE TABLE {table} (document bigint PRIMARY KEY {columns});
