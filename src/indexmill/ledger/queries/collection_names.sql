SELECT name FROM collection WHERE tenant = %(tenant)s ORDER BY name LIMIT 100;
