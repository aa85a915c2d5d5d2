-- For the transaction: what reads documents goes by index, and does not take for ever.
SELECT set_config('statement_timeout', %(milliseconds)s, true);
