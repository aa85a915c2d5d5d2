-- Of these files, those that are indexed, and whether their documents are still there.
SELECT f.key, f.revision, f.chunks, d.id IS NOT NULL AS is_there
FROM source_file f
LEFT JOIN document d ON d.collection = %(collection)s AND d.id = f.document AND d.fingerprint IS NOT NULL
WHERE f.source = %(source)s AND f.key = ANY (%(keys)s::text[]);
