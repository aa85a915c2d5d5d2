-- Newest first. The row comparison with `after` is what makes a page's cost independent of its depth.
SELECT v.* FROM (
    SELECT j.id FROM job j
    WHERE j.tenant = %(tenant)s
      AND j.kind = ANY (%(kinds)s::text[])
      AND j.seq IS NOT NULL
      AND (%(states)s::text[] IS NULL OR j.state = ANY (%(states)s::text[]))
      AND (%(is_open)s::boolean IS NOT TRUE OR j.finished_at IS NULL)
      AND (%(reasons)s::text[] IS NULL OR j.reason = ANY (%(reasons)s::text[]))
      AND (%(collection)s::text IS NULL OR j.collection =
           (SELECT id FROM collection WHERE tenant = %(tenant)s AND name = %(collection)s))
      AND (%(model)s::text IS NULL OR j.model = %(model)s)
      AND (%(created_from)s::timestamptz IS NULL OR j.created_at >= %(created_from)s)
      AND (%(created_before)s::timestamptz IS NULL OR j.created_at < %(created_before)s)
      AND (%(after_id)s::uuid IS NULL OR (j.created_at, j.id) < (%(after_at)s::timestamptz, %(after_id)s::uuid))
    ORDER BY j.created_at DESC, j.id DESC
    LIMIT %(limit)s OFFSET %(offset)s
) page
JOIN job_with_counters v USING (id)
ORDER BY v.created_at DESC, v.id DESC;
