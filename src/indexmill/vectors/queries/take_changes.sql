-- The oldest ones: so many, and of so many chunks, but one at least. Changes of commits that end after this statement
-- began stay, and come with the next one.
WITH oldest AS MATERIALIZED (
    SELECT number, document FROM rebuild_change
    WHERE collection = %(collection)s AND generation = %(generation)s
    ORDER BY number LIMIT %(limit)s
), weighed AS (
    SELECT o.number, coalesce(sum(d.chunks) OVER (
        ORDER BY o.number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) AS chunks_before
    FROM oldest o LEFT JOIN document d ON d.key = o.document
)
DELETE FROM rebuild_change r USING weighed w
WHERE r.collection = %(collection)s AND r.generation = %(generation)s AND r.number = w.number
  AND w.chunks_before < %(chunks)s
RETURNING r.document;
