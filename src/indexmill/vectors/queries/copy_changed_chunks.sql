-- A statement of its own: its snapshot sees every commit whose change was taken.
WITH copied AS (
    INSERT INTO {target} (document, ordinal, part, start_offset, end_offset, embedding)
    SELECT c.document, c.ordinal, c.part, c.start_offset, c.end_offset, c.embedding
    FROM document d JOIN {table} c ON c.document = d.key AND c.ordinal < d.chunks
    WHERE d.key = ANY (%(documents)s::bigint[])
    ORDER BY c.document, c.ordinal
    RETURNING 1
)
SELECT count(*) AS copied FROM copied;
