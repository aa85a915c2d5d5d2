-- For the transaction: whoever waits for all writers makes those wait that come after them.
SELECT set_config('lock_timeout', '10s', true);
