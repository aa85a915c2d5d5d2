-- Those of these jobs that have no open batch. Whoever ends a batch and then asks sees its own end and all before it:
-- so whoever ends a job's last one sees that.
SELECT j.id FROM unnest(%(ids)s::uuid[]) AS j (id)
WHERE NOT EXISTS (SELECT 1 FROM batch b WHERE b.job = j.id AND b.state IN ('ready', 'waiting', 'running'));
