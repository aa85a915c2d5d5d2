CREATE INDEX ON {table} USING {method} ({column});
