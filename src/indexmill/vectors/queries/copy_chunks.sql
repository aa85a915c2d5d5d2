-- A page of whole documents by key. `last`: the last one of the page; NULL at the end.
WITH page AS MATERIALIZED (
    SELECT max(document) AS last FROM (
        SELECT document FROM {table} WHERE document > %(after)s ORDER BY document, ordinal LIMIT %(limit)s
    ) p
), copied AS (
    INSERT INTO {target} (document, ordinal, part, start_offset, end_offset, embedding)
    SELECT c.document, c.ordinal, c.part, c.start_offset, c.end_offset, c.embedding
    FROM page
    JOIN {table} c ON c.document > %(after)s AND c.document <= page.last
    JOIN document d ON d.key = c.document AND c.ordinal < d.chunks
    ORDER BY c.document, c.ordinal
    RETURNING 1
)
SELECT last, (SELECT count(*) FROM copied) AS copied FROM page;
