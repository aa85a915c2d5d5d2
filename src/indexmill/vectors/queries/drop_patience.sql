-- For the transaction: a search that still reads the table is not waited for, and nobody waits behind us.
SELECT set_config('lock_timeout', '500ms', true);
