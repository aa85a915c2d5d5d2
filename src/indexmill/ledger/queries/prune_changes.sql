-- Of generations that are not being filled any more.
DELETE FROM rebuild_change WHERE (collection, generation, number) IN (
    SELECT r.collection, r.generation, r.number FROM rebuild_change r
    LEFT JOIN collection c ON c.id = r.collection
    WHERE c.next_generation IS DISTINCT FROM r.generation
    LIMIT %(limit)s
)
RETURNING number;
