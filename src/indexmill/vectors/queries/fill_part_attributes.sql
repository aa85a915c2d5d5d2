-- Of documents whose rows the filling has made.
INSERT INTO {table} ({columns})
SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %(rows)s::jsonb) ORDER BY {key}
ON CONFLICT ({key}) DO NOTHING;
