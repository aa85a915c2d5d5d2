-- Of half precision: half the memory, twice the dimensions, and nothing that asks for the vectors themselves can use it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table}
USING hnsw ((embedding::halfvec({dimension})) halfvec_ip_ops) WITH (m = 16, ef_construction = 64);
