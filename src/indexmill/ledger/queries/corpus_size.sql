-- How much is in a corpus; its texts are read only where their characters are asked for.
SELECT count(*) AS documents, coalesce(sum(chunks), 0)::bigint AS parts,
       coalesce(sum(CASE WHEN %(characters)s THEN char_length(text) END), 0)::bigint AS characters,
       coalesce(sum(CASE WHEN %(characters)s THEN char_length(payload::text) END), 0)::bigint AS metadata_characters
FROM document WHERE collection = %(collection)s AND deleted_at IS NULL;
