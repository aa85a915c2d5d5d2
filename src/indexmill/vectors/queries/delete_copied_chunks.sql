DELETE FROM {target} WHERE document = ANY (%(documents)s::bigint[]);
