SELECT f.document, f.ordinal, f.distance
FROM unnest(%(documents)s::bigint[], %(ordinals)s::integer[], %(distances)s::float8[])
     AS f (document, ordinal, distance)
