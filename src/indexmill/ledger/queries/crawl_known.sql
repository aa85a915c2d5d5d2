-- How many of these URLs have been visited already.
SELECT url FROM crawl_page
WHERE job = %(job)s AND source = %(source)s AND url = ANY (%(urls)s::text[]) AND due_at IS NULL;
