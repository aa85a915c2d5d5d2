DELETE FROM source_file f USING (
    SELECT f.source, f.key
    FROM source_file f
    JOIN unnest(%(sources)s::uuid[], %(documents)s::text[], %(seqs)s::bigint[]) AS w (source, document, seq)
         ON w.source = f.source AND w.document = f.document AND f.seq <= w.seq
    ORDER BY f.source, f.key FOR UPDATE OF f
) locked
WHERE f.source = locked.source AND f.key = locked.key;
