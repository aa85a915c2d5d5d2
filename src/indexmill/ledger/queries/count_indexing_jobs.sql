SELECT count(*) AS total FROM job WHERE kind = 'indexing' AND tenant = %(tenant)s;
