SELECT v.* FROM (
    -- The caller's own id comes first: it may look like one of ours.
    SELECT id, 1 AS preference FROM job
    WHERE tenant = %(tenant)s AND kind = ANY (%(kinds)s::text[]) AND external_id = %(reference)s
    UNION ALL
    SELECT id, 2 FROM job WHERE id = %(id)s AND tenant = %(tenant)s AND kind = ANY (%(kinds)s::text[])
) found
JOIN job_with_counters v USING (id)
WHERE v.state <> 'receiving'
ORDER BY found.preference, v.created_at DESC
LIMIT 1;
