-- Its lane is there before any job of it.
WITH opened AS (
    INSERT INTO lane (name, tenant, model) VALUES (%(lane)s, %(tenant)s, %(model)s) ON CONFLICT (name) DO NOTHING
)
INSERT INTO collection (tenant, name, model, splitting, lane)
VALUES (%(tenant)s, %(name)s, %(model)s, %(splitting)s, %(lane)s)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING id;
