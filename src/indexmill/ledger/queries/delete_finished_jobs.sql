DELETE FROM job WHERE id IN (
    SELECT j.id FROM job j
    WHERE j.tenant = %(tenant)s
      AND j.finished_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM callback_outbox o WHERE o.job = j.id AND o.settled_at IS NULL)
      AND j.kind = ANY (%(kinds)s::text[])
      AND (%(states)s::text[] IS NULL OR j.state = ANY (%(states)s::text[]))
      AND (%(is_open)s::boolean IS NOT TRUE OR j.finished_at IS NULL)
      AND (%(reasons)s::text[] IS NULL OR j.reason = ANY (%(reasons)s::text[]))
      AND (%(collection)s::text IS NULL OR j.collection =
           (SELECT id FROM collection WHERE tenant = %(tenant)s AND name = %(collection)s))
      AND (%(model)s::text IS NULL OR j.model = %(model)s)
      AND (%(created_from)s::timestamptz IS NULL OR j.created_at >= %(created_from)s)
      AND (%(created_before)s::timestamptz IS NULL OR j.created_at < %(created_before)s)
    ORDER BY j.id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING id;
