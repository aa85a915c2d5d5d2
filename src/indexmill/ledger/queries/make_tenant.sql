INSERT INTO tenant (name) VALUES (%(name)s) ON CONFLICT (name) DO NOTHING RETURNING id;
