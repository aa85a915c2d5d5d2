-- Newest first. There are four ways to the jobs, and what is given decides which one is planned at all: each of their
-- parts reads one index in the order of the answer and stops at the limit, so that what does not match costs nothing.
WITH wanted_reason (reason) AS (
    SELECT unnest(%(reasons)s::text[])
), found AS (
    -- By id.
    SELECT j.id, j.created_at FROM job j
    WHERE %(ids)s::uuid[] IS NOT NULL AND j.id = ANY (%(ids)s::uuid[])
      AND j.tenant = %(tenant)s
      AND j.seq IS NOT NULL
      AND (%(states)s::text[] IS NULL OR j.state = ANY (%(states)s::text[]))
      AND (%(numbers)s::bigint[] IS NULL OR EXISTS (
           SELECT FROM collection c WHERE c.id = j.collection AND c.tenant = %(tenant)s
           AND (c.id = ANY (%(numbers)s::bigint[]) OR c.name = ANY (%(names)s::text[]))))
    UNION ALL
    -- All of the tenant.
    (SELECT j.id, j.created_at FROM job j
     WHERE %(ids)s::uuid[] IS NULL AND %(numbers)s::bigint[] IS NULL AND %(states)s::text[] IS NULL
       AND j.tenant = %(tenant)s
       AND j.seq IS NOT NULL
       AND (%(created_from)s::timestamptz IS NULL OR j.created_at >= %(created_from)s)
       AND (%(after_id)s::uuid IS NULL OR (j.created_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
     ORDER BY j.created_at DESC, j.id DESC LIMIT %(limit)s)
    UNION ALL
    -- The tenant's open ones in some states, and its ended ones by reason: each reason belongs to one state.
    (SELECT j.id, j.created_at FROM job j
     WHERE %(ids)s::uuid[] IS NULL AND %(numbers)s::bigint[] IS NULL AND %(states)s::text[] IS NOT NULL AND %(is_open)s
       AND j.tenant = %(tenant)s
       AND j.finished_at IS NULL
       AND j.state = ANY (%(states)s::text[])
       AND (%(created_from)s::timestamptz IS NULL OR j.created_at >= %(created_from)s)
       AND (%(after_id)s::uuid IS NULL OR (j.created_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
     ORDER BY j.created_at DESC, j.id DESC LIMIT %(limit)s)
    UNION ALL
    SELECT page.id, page.created_at FROM wanted_reason w CROSS JOIN LATERAL (
        SELECT j.id, j.created_at FROM job j
        WHERE j.tenant = %(tenant)s
          AND j.reason = w.reason
          AND (%(created_from)s::timestamptz IS NULL OR j.created_at >= %(created_from)s)
          AND (%(after_id)s::uuid IS NULL OR (j.created_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
        ORDER BY j.created_at DESC, j.id DESC LIMIT %(limit)s
    ) page
    WHERE %(ids)s::uuid[] IS NULL AND %(numbers)s::bigint[] IS NULL AND %(states)s::text[] IS NOT NULL
    UNION ALL
    -- By collection, and in each by reason; '' are the open ones.
    SELECT page.id, page.created_at
    FROM collection c
    CROSS JOIN (SELECT reason FROM wanted_reason UNION ALL SELECT '' WHERE %(is_open)s) w (reason)
    CROSS JOIN LATERAL (
        SELECT j.id, j.created_at FROM job j
        WHERE j.collection = c.id
          AND coalesce(j.reason, '') = w.reason
          AND j.seq IS NOT NULL
          AND (%(states)s::text[] IS NULL OR j.state = ANY (%(states)s::text[]))
          AND (%(created_from)s::timestamptz IS NULL OR j.created_at >= %(created_from)s)
          AND (%(after_id)s::uuid IS NULL OR (j.created_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
        ORDER BY j.created_at DESC, j.id DESC LIMIT %(limit)s
    ) page
    WHERE %(ids)s::uuid[] IS NULL AND %(numbers)s::bigint[] IS NOT NULL
      AND c.tenant = %(tenant)s
      AND (c.id = ANY (%(numbers)s::bigint[]) OR c.name = ANY (%(names)s::text[]))
)
SELECT v.* FROM (
    SELECT f.id FROM found f
    -- By id these have not been looked at.
    WHERE (%(created_from)s::timestamptz IS NULL OR f.created_at >= %(created_from)s)
      AND (%(after_id)s::uuid IS NULL OR (f.created_at, f.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
    ORDER BY f.created_at DESC, f.id DESC
    LIMIT %(limit)s
) page
JOIN job_with_counters v USING (id)
ORDER BY v.created_at DESC, v.id DESC;
