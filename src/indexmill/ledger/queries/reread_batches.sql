SELECT b.job, b.ordinal, b.state
FROM batch b JOIN unnest(%(jobs)s::uuid[], %(ordinals)s::integer[]) AS k (job, ordinal)
     ON k.job = b.job AND k.ordinal = b.ordinal
WHERE b.lease = %(token)s
ORDER BY b.job, b.ordinal FOR UPDATE OF b;
