CREATE INDEX ON {table} (document) WHERE misfit = 1;
