-- The oldest ones. Changes of commits that end after this statement began stay, and come with the next one.
DELETE FROM rebuild_change
WHERE collection = %(collection)s AND generation = %(generation)s AND number IN (
    SELECT number FROM rebuild_change
    WHERE collection = %(collection)s AND generation = %(generation)s
    ORDER BY number LIMIT %(limit)s
)
RETURNING document;
