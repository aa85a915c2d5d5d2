DELETE FROM crawl_page WHERE job = %(job)s AND source = %(source)s;
