-- A row that is there was written with its document meanwhile: it is the newer one. Where neither the older one nor it fits,
-- that is reported with the older one. `is_mine`: the row was not there.
INSERT INTO {table} AS t ({columns})
SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %(rows)s::jsonb) ORDER BY {key}
ON CONFLICT ({key}) DO UPDATE SET misfit = excluded.misfit WHERE t.misfit = 1 AND excluded.misfit = 2
RETURNING t.document, t.xmax = 0 AS is_mine;
