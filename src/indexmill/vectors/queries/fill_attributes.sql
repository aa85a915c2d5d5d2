-- A row that is there was written with its document meanwhile: it is the newer one.
INSERT INTO {table} ({columns})
SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %(rows)s::jsonb) ORDER BY {key}
ON CONFLICT ({key}) DO NOTHING
RETURNING document;
