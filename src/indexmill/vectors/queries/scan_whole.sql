-- For the transaction: an exact search reads all chunks, in the order in which they lie.
SELECT set_config('enable_seqscan', 'on', true);
