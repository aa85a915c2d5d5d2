-- URLs that are met for the first time are to be visited, in this order; no more of them than may be known. Their job is
-- locked: nobody else adds any. They are counted here, once, and not before each visit.
WITH wanted AS (
    SELECT w.url, w.place, p.url IS NULL AS is_new
    FROM unnest(%(urls)s::text[]) WITH ORDINALITY AS w (url, place)
    LEFT JOIN crawl_page p ON p.job = %(job)s AND p.source = %(source)s AND p.url = w.url
), added AS (
    INSERT INTO crawl_page (job, source, url, due_at)
    SELECT %(job)s, %(source)s, url, CASE WHEN %(visited)s THEN NULL ELSE ledger_now() END
    FROM wanted WHERE is_new
    ORDER BY place
    LIMIT (SELECT greatest(0, %(max_known)s - known) FROM job_source WHERE job = %(job)s AND source = %(source)s)
    RETURNING url
), met AS (
    UPDATE crawl_page SET due_at = NULL
    WHERE %(visited)s AND job = %(job)s AND source = %(source)s AND due_at IS NOT NULL
      AND url IN (SELECT url FROM wanted WHERE NOT is_new)
    RETURNING url
)
UPDATE job_source
SET known = known + (SELECT count(*) FROM added),
    visited = visited + CASE WHEN %(visited)s THEN (SELECT count(*) FROM added) + (SELECT count(*) FROM met) ELSE 0 END
WHERE job = %(job)s AND source = %(source)s;
