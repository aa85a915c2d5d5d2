WITH forgotten AS (
    DELETE FROM crawl_page WHERE job = %(job)s AND source = %(source)s
)
UPDATE job_source SET known = 0, visited = 0
WHERE job = %(job)s AND source = %(source)s AND known > 0;
