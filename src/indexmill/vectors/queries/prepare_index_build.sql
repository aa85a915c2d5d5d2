-- For a session of its own. The build waits for older transactions, for no longer than this; it ends when its client
-- is gone.
SELECT set_config('maintenance_work_mem', %(memory)s, false), set_config('lock_timeout', %(patience)s, false),
       set_config('max_parallel_maintenance_workers', %(workers)s, false), set_config('statement_timeout', '0', false),
       set_config('client_connection_check_interval', '5s', false);
