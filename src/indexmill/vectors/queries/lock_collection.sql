-- Holds off all writers of the collection (ledger/queries/share_collection.sql) and waits for those that are at it.
SELECT pg_advisory_xact_lock(1229867860, %(collection)s);
