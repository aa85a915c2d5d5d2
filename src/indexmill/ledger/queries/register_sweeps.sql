INSERT INTO sweep (name) SELECT unnest(%(names)s::text[]) ON CONFLICT (name) DO NOTHING;
