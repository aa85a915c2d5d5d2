INSERT INTO collection (tenant, name, model) VALUES (%(tenant)s, %(name)s, %(model)s)
ON CONFLICT (tenant, name) DO NOTHING
RETURNING id;
