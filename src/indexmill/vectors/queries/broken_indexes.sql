-- What a build left behind that was killed. One that is being built is not valid yet either.
SELECT x.relname AS name
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE NOT i.indisvalid AND t.relname ~ '^chunk_[0-9]+_[0-9]+$' AND pg_table_is_visible(t.oid)
  AND NOT EXISTS (
      SELECT 1 FROM pg_stat_progress_create_index p WHERE p.datname = current_database() AND p.relid = t.oid
  )
ORDER BY 1;
