WITH met AS (
    UPDATE crawl_page SET due_at = NULL
    WHERE job = %(job)s AND source = %(source)s AND url = %(url)s AND due_at IS NOT NULL
    RETURNING url
)
UPDATE job_source SET visited = visited + (SELECT count(*) FROM met) WHERE job = %(job)s AND source = %(source)s;
