INSERT INTO rebuild_change (collection, generation, document)
SELECT %(collection)s, %(generation)s, unnest(%(documents)s::bigint[]);
