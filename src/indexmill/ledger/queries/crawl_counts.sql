SELECT count(*) FILTER (WHERE due_at IS NULL) AS visited, count(*) AS known FROM crawl_page
WHERE job = %(job)s AND source = %(source)s;
