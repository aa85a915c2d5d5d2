-- Everything a window does to documents is one statement in id order, so that two windows never wait in a circle.
-- outcome: 1 indexed, 2 unchanged, 3 payload updated, 5 removed. A skip holds only while the stored payload hash, a
-- payload update while the stored fingerprint is still the one that it saw.
WITH written AS (
    INSERT INTO document AS d (collection, id, seq, position, outcome, fingerprint, payload_hash, text, payload,
                               item_info, structure, parts, chunks, previous_chunks, deleted_at)
    SELECT %(collection)s, id, seq, position, outcome, fingerprint, payload_hash, text, payload, item_info,
           structure, parts, coalesce(cardinality(embeddings), 0), 0, CASE WHEN outcome = 5 THEN ledger_now() END
    FROM staged_2
    WHERE item = ANY (%(winners)s::integer[]) AND seq >= %(min_seq)s
    ORDER BY id
    ON CONFLICT (collection, id) DO UPDATE
    SET seq = excluded.seq, position = excluded.position, outcome = excluded.outcome,
        fingerprint = CASE WHEN excluded.outcome = 2 THEN d.fingerprint ELSE excluded.fingerprint END,
        payload_hash = excluded.payload_hash,
        text = CASE WHEN excluded.outcome IN (2, 3) THEN d.text ELSE excluded.text END,
        payload = CASE WHEN excluded.outcome = 2 THEN d.payload ELSE excluded.payload END,
        item_info = CASE WHEN excluded.outcome = 2 THEN d.item_info ELSE excluded.item_info END,
        structure = CASE WHEN excluded.outcome IN (2, 3) THEN d.structure ELSE excluded.structure END,
        parts = CASE WHEN excluded.outcome = 2 THEN d.parts ELSE excluded.parts END,
        chunks = CASE WHEN excluded.outcome IN (2, 3) THEN d.chunks ELSE excluded.chunks END,
        previous_chunks = d.chunks, deleted_at = excluded.deleted_at, updated_at = ledger_now()
    WHERE (d.seq, d.position) <= (excluded.seq, excluded.position)
      AND CASE excluded.outcome
          WHEN 2 THEN d.fingerprint IS NOT NULL AND d.payload_hash = excluded.payload_hash
          WHEN 3 THEN d.fingerprint = excluded.fingerprint
          ELSE true END
    RETURNING key, id, seq, position, outcome, chunks, previous_chunks
), new_chunks AS (
    INSERT INTO {table} AS c (document, ordinal, part, start_offset, end_offset, embedding)
    SELECT w.key, chunk.ordinal - 1, coalesce(chunk.part, 0), chunk.start_offset, chunk.end_offset, chunk.embedding
    FROM written w
    JOIN staged_2 s ON s.id = w.id AND s.seq = w.seq AND s.position = w.position
         AND s.item = ANY (%(winners)s::integer[])
    CROSS JOIN LATERAL unnest(s.starts, s.ends, s.chunk_parts, s.embeddings)
         WITH ORDINALITY AS chunk (start_offset, end_offset, part, embedding, ordinal)
    WHERE w.outcome = 1
    ORDER BY w.id
    ON CONFLICT (document, ordinal) DO UPDATE
    SET part = excluded.part, start_offset = excluded.start_offset, end_offset = excluded.end_offset,
        embedding = excluded.embedding
)
SELECT key, id, outcome, chunks, previous_chunks FROM written;
