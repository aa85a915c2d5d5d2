UPDATE crawl_page SET due_at = NULL WHERE job = %(job)s AND source = %(source)s AND url = %(url)s;
