-- Which of these documents say already what the items say, as places in the arrays from 0 on, with their chunks and
-- their greatest seq (one row, `same`); and of the others that are there, what is stored (a row each). A row for each
-- that is the same would cost more than comparing.
-- The hashes, 16 bytes each, come in one value: an array of them would have to be written out. The documents are read
-- in one walk through the index. FULL JOIN: never by nested loops, whatever the planner believes of the arrays; a
-- document that is not there is neither the same nor another one.
WITH found AS MATERIALIZED (
    SELECT w.place::integer - 1 AS place, d.seq, d.position, d.fingerprint, d.payload_hash, d.chunks,
           d.fingerprint IS NOT NULL
               AND d.payload_hash = substring(%(payload_hashes)b::bytea FROM (w.place::integer - 1) * 16 + 1 FOR 16) AS same
    FROM unnest(%(ids)b::text[]) WITH ORDINALITY AS w (id, place)
    FULL JOIN (
        SELECT id, seq, position, fingerprint, payload_hash, chunks FROM document
        WHERE collection = %(collection)s AND id = ANY (%(ids)b::text[])
    ) d ON d.id = w.id
)
SELECT array_agg(place) AS same, array_agg(chunks) AS chunks, max(seq) AS seq, NULL::integer AS place,
       NULL::bigint AS position, NULL::bytea AS fingerprint, NULL::bytea AS payload_hash
FROM found WHERE same
UNION ALL
SELECT NULL, NULL, seq, place, position, fingerprint, payload_hash FROM found WHERE NOT same AND seq IS NOT NULL;
