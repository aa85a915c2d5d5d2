-- In the order in which all write.
WITH found AS MATERIALIZED (
    SELECT document FROM {table}
    WHERE document = ANY (%(documents)s::bigint[]) AND misfit = 1
    ORDER BY document FOR NO KEY UPDATE
)
UPDATE {table} t SET misfit = 2 FROM found WHERE t.document = found.document;
