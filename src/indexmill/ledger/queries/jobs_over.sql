-- Those of these jobs that have ended, or that are not there any more.
SELECT wanted.id FROM unnest(%(ids)s::uuid[]) AS wanted (id)
WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = wanted.id AND job.finished_at IS NULL);
