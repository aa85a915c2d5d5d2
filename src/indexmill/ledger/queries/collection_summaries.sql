-- PostgreSQL tells of an index that is being built how much of its table it has read.
SELECT c.name, c.model, c.splitting, c.generation, coalesce(d.documents, 0) AS documents,
       coalesce(d.chunks, 0)::bigint AS chunks, b.done AS index_progress,
       CASE WHEN c.indexed_generation = c.generation THEN c.recall END AS recall,
       c.indexed_generation = c.generation AND c.ef_search IS NOT NULL AS is_indexed
FROM collection c
LEFT JOIN (
    SELECT collection, count(*) AS documents, sum(chunks) AS chunks FROM document
    WHERE deleted_at IS NULL GROUP BY collection
) d ON d.collection = c.id
LEFT JOIN LATERAL (
    SELECT max(coalesce(p.blocks_done::float8 / nullif(p.blocks_total, 0), 0)) AS done
    FROM pg_stat_progress_create_index p
    WHERE p.datname = current_database()
      AND p.relid IN (chunk_table(c.id, c.generation), chunk_table(c.id, c.next_generation))
) b ON true
WHERE c.tenant = %(tenant)s AND c.deleted_at IS NULL ORDER BY c.name;
