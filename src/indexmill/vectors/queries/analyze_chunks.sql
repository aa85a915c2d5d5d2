ANALYZE {table} (document, ordinal);
