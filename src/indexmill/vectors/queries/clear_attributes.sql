-- Not TRUNCATE: whoever reads an earlier moment still sees them.
DELETE FROM {table};
