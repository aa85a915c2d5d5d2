-- Moves the versions of documents that say already what the items say; locked in id order, as in all writes. Of an
-- item whose document has changed meanwhile, or is newer, nothing comes back. `chunks`: in the order of the arrays.
WITH locked AS MATERIALIZED (
    SELECT d.key, w.seq, w.position, w.place
    FROM (
        SELECT * FROM unnest(%(ids)b::text[], %(seqs)s::bigint[], %(positions)s::bigint[])
             WITH ORDINALITY AS u (id, seq, position, place)
        ORDER BY id
    ) w
    CROSS JOIN LATERAL (
        SELECT key FROM document
        WHERE collection = %(collection)s AND id = w.id AND fingerprint IS NOT NULL
          AND payload_hash = substring(%(payload_hashes)b::bytea FROM (w.place::integer - 1) * 16 + 1 FOR 16)
          AND (seq, position) <= (w.seq, w.position) AND w.seq >= %(min_seq)s
        FOR NO KEY UPDATE
    ) d
), moved AS (
    UPDATE document d
    SET seq = l.seq, position = l.position, outcome = 2, previous_chunks = d.chunks, updated_at = ledger_now()
    FROM locked l WHERE d.key = l.key
    RETURNING l.place, d.chunks
)
SELECT coalesce(array_agg(chunks ORDER BY place), ARRAY[]::integer[]) AS chunks FROM moved;
