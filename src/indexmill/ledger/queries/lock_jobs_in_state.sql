SELECT id FROM job WHERE id = ANY (%(ids)s::uuid[]) AND state = %(state)s ORDER BY id FOR NO KEY UPDATE;
