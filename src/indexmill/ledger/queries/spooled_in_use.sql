-- Which of these references belong to a job that still has its items.
SELECT DISTINCT s.reference
FROM spooled_input s
JOIN job j ON j.id = s.job
WHERE s.reference = ANY(%(references)s::text[]) AND j.bodies_deleted_at IS NULL;
