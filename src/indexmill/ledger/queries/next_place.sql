SELECT ordinal + 1 AS ordinal, first_position + greatest(items, 1) AS position FROM batch
WHERE job = %(job)s ORDER BY ordinal DESC LIMIT 1;
