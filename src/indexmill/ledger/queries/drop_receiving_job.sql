DELETE FROM job WHERE id = %(id)s AND state = 'receiving';
