-- Those of these collections in which nobody is taking a sequence number at this moment: what has a lower one than any
-- that is known already is visible to every later statement. The locks end with the statement.
SELECT id FROM unnest(%(ids)s::integer[]) AS c (id) WHERE pg_try_advisory_xact_lock(1229867861, id);
