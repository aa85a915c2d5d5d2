-- Which of these documents say already what the items say, as places in the arrays from 0 on, with their chunks and
-- their greatest seq (one row, `same`); and of the others that are there, what is stored (a row each). A row for each
-- that is the same would cost more than comparing.
-- The ids come as they are stored, as a JSON list, and the hashes, 16 bytes each, in one value: a client would have to
-- write out arrays element by element. The documents are read in one walk through the index. FULL JOIN: never by nested
-- loops, whatever the planner believes of the list; a document that is not there is neither the same nor another one.
WITH wanted AS MATERIALIZED (
    SELECT id, place FROM json_array_elements_text(%(ids)s::json) WITH ORDINALITY AS w (id, place)
), found AS MATERIALIZED (
    SELECT w.place::integer - 1 AS place, d.seq, d.position, d.fingerprint, d.payload_hash, d.chunks,
           d.fingerprint IS NOT NULL
               AND d.payload_hash = substring(%(payload_hashes)b::bytea FROM (w.place::integer - 1) * 16 + 1 FOR 16) AS same
    FROM wanted w
    FULL JOIN (
        SELECT id, seq, position, fingerprint, payload_hash, chunks FROM document
        WHERE collection = %(collection)s AND id = ANY (ARRAY(SELECT id FROM wanted))
    ) d ON d.id = w.id
)
SELECT array_agg(place) AS same, array_agg(chunks) AS chunks, max(seq) AS seq, NULL::integer AS place,
       NULL::bigint AS position, NULL::bytea AS fingerprint, NULL::bytea AS payload_hash
FROM found WHERE same
UNION ALL
SELECT NULL, NULL, seq, place, position, fingerprint, payload_hash FROM found WHERE NOT same AND seq IS NOT NULL;
