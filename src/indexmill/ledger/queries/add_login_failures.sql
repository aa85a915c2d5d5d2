UPDATE login_failure f SET count = f.count + CASE f.what WHEN 'refused' THEN %(refused)s::bigint ELSE %(throttled)s::bigint END
FROM (SELECT what FROM login_failure ORDER BY what FOR NO KEY UPDATE) locked
WHERE f.what = locked.what;
