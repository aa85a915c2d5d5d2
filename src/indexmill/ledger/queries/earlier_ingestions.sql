-- Open ingestions of a document that were submitted before this job of it.
SELECT j.id FROM job by_job
JOIN job j ON j.collection = by_job.collection AND j.document = by_job.document
WHERE by_job.id = %(id)s AND j.finished_at IS NULL AND j.document IS NOT NULL
  AND j.kind = 'ingestion' AND j.seq < by_job.seq
ORDER BY j.id;
