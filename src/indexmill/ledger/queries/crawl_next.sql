SELECT url, tries, greatest(0, extract(epoch FROM due_at - ledger_now()))::float8 AS wait FROM (
    (SELECT url, tries, due_at FROM crawl_page
     WHERE job = %(job)s AND source = %(source)s AND due_at <= ledger_now()
     ORDER BY number LIMIT 1)
    UNION ALL
    -- Only those are left that are to be tried again.
    (SELECT url, tries, due_at FROM crawl_page
     WHERE job = %(job)s AND source = %(source)s AND due_at > ledger_now()
     ORDER BY due_at LIMIT 1)
) next LIMIT 1;
