DELETE FROM worker WHERE id = %(id)s AND %(slots)s = 0;
