-- They are still in their source.
WITH locked AS (
    SELECT source, key FROM source_file
    WHERE source = %(source)s AND key = ANY (%(keys)s::text[]) AND seen < %(seq)s
    ORDER BY key FOR UPDATE
)
UPDATE source_file f SET seen = %(seq)s FROM locked WHERE f.source = locked.source AND f.key = locked.key;
