-- Alone: waits for the commits that share it, and holds off new ones until the transaction ends.
SELECT pg_advisory_xact_lock(1229867860, %(collection)s);
