-- Those of these transactions that were committed; the server knows it of recent ones.
SELECT number FROM unnest(%(numbers)s::text[]) AS t (number) WHERE pg_xact_status(number::xid8) = 'committed';
