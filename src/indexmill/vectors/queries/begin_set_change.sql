-- For the transaction: whoever waits for this lock makes all writers of the collection wait behind it.
SELECT set_config('lock_timeout', '2s', true), set_config('statement_timeout', '60s', true);
