-- The next lost item of the batch has had its first two losses together with this one.
UPDATE batch
SET set_aside = coalesce(set_aside, '{}') || %(positions)s::bigint[], losses = 2,
    failed = failed + cardinality(%(positions)s::bigint[])
WHERE job = %(job)s AND ordinal = %(ordinal)s;
