-- The nearest chunks with their documents, their neighbours and their places: one statement, so one snapshot, in which
-- every document is the old one or the new one. A chunk and its neighbours are one stretch of the text, from
-- `first_offset` to `last_offset`: finding a place in a text means reading all that is before it. For long texts that is
-- done once for all stretches (long_text.sql), not here for each.
WITH nearest AS MATERIALIZED (
    {nearest}
)
SELECT d.key, d.id, d.payload, d.item_info, d.chunks, d.updated_at, n.ordinal, -n.distance AS score,
       c.start_offset, c.end_offset, around.ordinals, around.starts, around.ends, around.first_offset,
       around.last_offset, stretch.text AS stretch, place.page, place.headings, place.part_metadata
FROM nearest n
JOIN document d ON d.key = n.document AND d.deleted_at IS NULL
JOIN {table} c ON c.document = n.document AND c.ordinal = n.ordinal
CROSS JOIN LATERAL (
    SELECT array_agg(a.ordinal ORDER BY a.ordinal) AS ordinals, array_agg(a.start_offset ORDER BY a.ordinal) AS starts,
           array_agg(a.end_offset ORDER BY a.ordinal) AS ends, min(a.start_offset) AS first_offset,
           max(a.end_offset) AS last_offset
    FROM {table} a
    WHERE a.document = n.document AND a.ordinal BETWEEN n.ordinal - %(expand)s AND n.ordinal + %(expand)s
) around
CROSS JOIN LATERAL (
    SELECT CASE WHEN octet_length(d.text) <= %(long_text)s THEN
        substring(d.text FROM around.first_offset::integer + 1 FOR (around.last_offset - around.first_offset)::integer)
    END AS text OFFSET 0
) stretch
CROSS JOIN LATERAL (
    -- A heading's place is its title's: the marks before it belong to it. In long texts, of which nothing else is read
    -- here, only a first chunk begins with such.
    SELECT c.start_offset + length(substring(
        CASE WHEN stretch.text IS NOT NULL
             THEN substring(stretch.text FROM (c.start_offset - around.first_offset)::integer + 1 FOR 20)
             WHEN c.start_offset = 0 THEN left(d.text, 20)
             ELSE '' END
        FROM '^[#[:space:]]*'
    )) AS start OFFSET 0
) chunk
CROSS JOIN LATERAL (
    SELECT (
        SELECT (p.page ->> 1)::integer FROM jsonb_array_elements(d.structure -> 'pages') p (page)
        WHERE (p.page ->> 0)::bigint <= chunk.start
        ORDER BY (p.page ->> 0)::bigint DESC LIMIT 1
    ) AS page, (
        -- Those that nothing of their level or a higher one has followed yet.
        SELECT array_agg(h.title ORDER BY h.number)
        FROM (
            SELECT g.heading ->> 2 AS title, (g.heading ->> 1)::integer AS level, g.number,
                   min((g.heading ->> 1)::integer) OVER (
                       ORDER BY g.number DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                   ) AS highest_after
            FROM jsonb_array_elements(d.structure -> 'headings') WITH ORDINALITY g (heading, number)
            WHERE (g.heading ->> 0)::bigint <= chunk.start
        ) h
        WHERE h.highest_after IS NULL OR h.level < h.highest_after
    ) AS headings, (
        SELECT p.part -> 1 FROM jsonb_array_elements(d.parts) p (part)
        WHERE (p.part ->> 0)::bigint <= c.start_offset
        ORDER BY (p.part ->> 0)::bigint DESC LIMIT 1
    ) AS part_metadata
) place
WHERE %(max_distance)s::float8 IS NULL OR n.distance <= %(max_distance)s::float8
ORDER BY n.distance, n.document, n.ordinal;
