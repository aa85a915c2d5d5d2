-- After a restart of the database everybody gets one lease to come back.
SELECT token, position, deadline_at <= ledger_now() AS past_deadline
FROM lease
WHERE expires_at < ledger_now()
  AND pg_postmaster_start_time() < ledger_now() - make_interval(secs => %(seconds)s)
ORDER BY expires_at LIMIT 100;
