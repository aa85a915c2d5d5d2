-- In the transaction that writes their documents, behind them.
INSERT INTO source_file AS f (source, key, document, revision, size, chunks, seq, seen)
SELECT w.source, w.key, w.document, w.revision, w.size, w.chunks, w.seq, w.seq
FROM unnest(%(sources)s::uuid[], %(keys)s::text[], %(documents)s::text[], %(revisions)s::text[], %(sizes)s::bigint[],
            %(chunks)s::integer[], %(seqs)s::bigint[])
     AS w (source, key, document, revision, size, chunks, seq)
ORDER BY w.source, w.key
ON CONFLICT (source, key) DO UPDATE
SET document = excluded.document, revision = excluded.revision, size = excluded.size, chunks = excluded.chunks,
    seq = excluded.seq, seen = greatest(f.seen, excluded.seen)
WHERE f.seq <= excluded.seq;
