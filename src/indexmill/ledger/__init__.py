"""The ledger: every durable fact about jobs, in PostgreSQL; one file a trade, one query a file in `queries/`."""
