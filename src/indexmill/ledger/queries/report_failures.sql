SELECT position, code, sentence FROM failed_item
WHERE job = %(job)s AND position BETWEEN %(first)s AND %(last)s;
