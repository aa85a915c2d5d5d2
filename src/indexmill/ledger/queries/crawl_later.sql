UPDATE crawl_page SET tries = tries + 1, due_at = ledger_now() + make_interval(secs => %(seconds)s)
WHERE job = %(job)s AND source = %(source)s AND url = %(url)s;
