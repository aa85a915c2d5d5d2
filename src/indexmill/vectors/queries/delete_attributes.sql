DELETE FROM {table} WHERE document = ANY (%(keys)s::bigint[]);
