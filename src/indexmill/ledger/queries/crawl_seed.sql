-- URLs that are met for the first time are to be visited, in this order; no more of them than may be known.
INSERT INTO crawl_page (job, source, url, due_at)
SELECT %(job)s, %(source)s, w.url, CASE WHEN %(visited)s THEN NULL ELSE ledger_now() END
FROM unnest(%(urls)s::text[]) WITH ORDINALITY AS w (url, place)
WHERE (SELECT count(*) FROM crawl_page WHERE job = %(job)s AND source = %(source)s) < %(max_known)s
ORDER BY w.place
LIMIT %(max_known)s
ON CONFLICT (job, source, url) DO UPDATE SET due_at = CASE WHEN %(visited)s THEN NULL ELSE crawl_page.due_at END
RETURNING url;
