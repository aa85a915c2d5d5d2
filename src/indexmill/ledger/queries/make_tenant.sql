WITH made AS (
    INSERT INTO tenant (name) VALUES (%(name)s) ON CONFLICT (name) DO NOTHING RETURNING id
)
INSERT INTO lane (name, tenant) SELECT tenant_lane(m.id, work), m.id FROM made m, unnest(ARRAY['delete', 'scan', 'structural']) AS work
RETURNING tenant AS id;
