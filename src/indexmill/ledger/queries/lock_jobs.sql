-- NO KEY UPDATE: rows that refer to the job can be written meanwhile.
SELECT id FROM job WHERE id = ANY (%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE;
