-- For the transaction: an exact search reads all chunks, in the order in which they lie, and does not take for ever.
SELECT set_config('enable_seqscan', 'on', true), set_config('statement_timeout', %(milliseconds)s, true);
