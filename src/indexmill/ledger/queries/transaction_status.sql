SELECT pg_xact_status(%(id)s::xid8) AS status;
