SELECT count(*) AS total FROM data_source WHERE knowledge_base = %(knowledge_base)s AND deleted_at IS NULL;
