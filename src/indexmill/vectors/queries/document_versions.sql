SELECT id, seq, position FROM document
WHERE collection = %(collection)s AND id = ANY (%(ids)b::text[]);
