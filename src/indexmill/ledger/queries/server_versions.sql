SELECT current_setting('server_version_num')::integer AS postgres,
       coalesce((SELECT extversion FROM pg_extension WHERE extname = 'vector'),
                (SELECT default_version FROM pg_available_extensions WHERE name = 'vector')) AS pgvector;
