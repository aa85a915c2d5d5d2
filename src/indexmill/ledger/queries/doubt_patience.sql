-- For the answer to a commit that was lost.
SELECT set_config('lock_timeout', %(patience)s, true);
