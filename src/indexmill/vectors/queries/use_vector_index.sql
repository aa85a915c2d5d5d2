-- For the transaction: the nearest chunks come from the HNSW index, as many as are asked for and match. Whatever sorts
-- instead would read them all.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),
       set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %(ef_search)s, true);
