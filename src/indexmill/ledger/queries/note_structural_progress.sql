INSERT INTO structural_progress (job, progress) VALUES (%(job)s, %(progress)s)
ON CONFLICT (job) DO UPDATE SET progress = excluded.progress;
