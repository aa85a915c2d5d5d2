-- The namespace keeps collections apart from other advisory locks.
SELECT pg_advisory_xact_lock_shared(1229867860, %(collection)s);
