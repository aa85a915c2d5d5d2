SELECT c.name, coalesce(p.blocks_done::float8 / nullif(p.blocks_total, 0), 0) AS done
FROM pg_stat_progress_create_index p
JOIN collection c ON p.relid IN (chunk_table(c.id, c.generation), chunk_table(c.id, c.next_generation))
WHERE p.datname = current_database()
ORDER BY c.name;
