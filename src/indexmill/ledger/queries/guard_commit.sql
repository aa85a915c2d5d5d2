-- A client that is stopped in the middle of its commit blocks nobody for longer than this.
SELECT set_config('idle_in_transaction_session_timeout', '3s', true), set_config('lock_timeout', '5s', true),
       set_config('statement_timeout', '30s', true);
