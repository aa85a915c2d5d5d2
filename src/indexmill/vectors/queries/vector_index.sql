-- Whether the table's index can be used; no row where there is none.
SELECT i.indisvalid AS is_valid FROM pg_index i WHERE i.indexrelid = to_regclass(%(name)s);
