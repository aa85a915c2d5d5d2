-- A job that nobody sees yet: no external id, no place in the order.
INSERT INTO job (id, tenant, kind, state, events, collection, model, lane)
SELECT %(id)s, %(tenant)s, %(kind)s, 'receiving', 0, c.id, %(model)s, l.name
FROM collection c
JOIN model m ON m.tenant = c.tenant AND m.id = c.model AND m.withdrawn_at IS NULL
JOIN lane l ON l.name = CASE WHEN %(deletes)s THEN 'delete' ELSE m.lane END
WHERE c.tenant = %(tenant)s AND c.name = %(model)s
ON CONFLICT (id) DO NOTHING;
