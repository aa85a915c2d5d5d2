-- From one row to the next: a reader's snapshot has the old set or the new one. `previous`: the one that has had its day.
WITH before AS MATERIALIZED (
    SELECT attribute_set FROM collection WHERE id = %(collection)s
), made_by AS (
    UPDATE attribute_set SET seq = %(seq)s
    FROM collection c WHERE number = %(number)s AND c.id = %(collection)s AND c.prepared_set = number
)
UPDATE collection c SET attribute_set = s.number, prepared_set = NULL
FROM attribute_set s, before
WHERE c.id = %(collection)s AND c.prepared_set = %(number)s AND s.number = c.prepared_set AND s.filled_at IS NOT NULL
RETURNING before.attribute_set AS previous;
