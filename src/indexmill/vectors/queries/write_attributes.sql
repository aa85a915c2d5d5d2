-- Rows in their order, as the filling writes them, so that the two never wait for each other in a circle.
INSERT INTO {table} AS t ({columns})
SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %(rows)s::jsonb) ORDER BY {key}
ON CONFLICT ({key}) DO UPDATE SET {assignments};
