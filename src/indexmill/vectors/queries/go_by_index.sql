-- For the transaction: a page is read by index, however small the table looks.
SELECT set_config('enable_seqscan', 'off', true);
