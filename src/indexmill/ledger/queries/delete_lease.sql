DELETE FROM lease WHERE token = %(token)s;
