-- Tables of chunks that no search reads any more, and that no rebuild fills: the generation before, after a while, what
-- was given up, and those of deleted collections. A number is never used twice.
SELECT t.relname AS name
FROM pg_class t
CROSS JOIN LATERAL (
    SELECT substring(t.relname FROM '^chunk_([0-9]+)_[0-9]+$')::bigint AS collection,
           substring(t.relname FROM '^chunk_[0-9]+_([0-9]+)$')::bigint AS generation
) n
JOIN collection c ON c.id = n.collection
WHERE t.relkind = 'r' AND t.relname LIKE 'chunk\_%%' AND pg_table_is_visible(t.oid)
  AND (c.deleted_at < ledger_now() - make_interval(secs => %(seconds)s)
       OR (n.generation <> c.generation AND n.generation IS DISTINCT FROM c.next_generation
           AND n.generation <= c.last_generation
           AND (n.generation > c.generation OR c.switched_at < ledger_now() - make_interval(secs => %(seconds)s))))
ORDER BY 1;
