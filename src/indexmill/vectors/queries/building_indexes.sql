SELECT p.pid FROM pg_stat_progress_create_index p JOIN pg_class t ON t.oid = p.relid
WHERE p.datname = current_database() AND t.relname ~ '^chunk_[0-9]+_[0-9]+$';
