-- Items of the tenant's unfinished jobs that have no outcome yet.
SELECT coalesce(sum(b.items), 0)::bigint AS items
FROM job j JOIN batch b ON b.job = j.id AND b.state IN ('ready', 'waiting', 'running')
WHERE j.tenant = %(tenant)s AND j.finished_at IS NULL;
