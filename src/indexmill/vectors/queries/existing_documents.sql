SELECT id, seq, position, fingerprint, payload_hash FROM document
WHERE collection = %(collection)s AND id = ANY (%(ids)s::text[]);
