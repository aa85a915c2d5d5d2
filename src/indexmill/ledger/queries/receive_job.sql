-- A job that nobody sees yet: no external id, no place in the order. What it has in the spool is kept from now on.
WITH new_job AS (
    INSERT INTO job (id, tenant, kind, state, events, collection, model, submitted_by, lane)
    SELECT %(id)s, %(tenant)s, %(kind)s, 'receiving', 0, c.id, %(model)s, %(submitted_by)s,
           CASE WHEN %(deletes)s THEN tenant_lane(c.tenant, 'delete') ELSE c.lane END
    FROM collection c
    JOIN model m ON m.tenant = c.tenant AND m.id = c.model AND m.withdrawn_at IS NULL
    WHERE c.tenant = %(tenant)s AND c.name = %(collection)s AND c.deleted_at IS NULL
      AND c.id = coalesce(%(number)s::integer, c.id)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
INSERT INTO spooled_input (job, reference)
SELECT DISTINCT n.id, s.reference FROM new_job n, unnest(%(references)s::text[]) AS s (reference);
