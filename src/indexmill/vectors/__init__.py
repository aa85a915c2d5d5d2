"""The vector index: one interface, and PostgreSQL with pgvector behind it."""
