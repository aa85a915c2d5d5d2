SELECT v.*, j.knowledge_base, j.bodies_deleted_at IS NULL AS has_bodies
FROM job j JOIN job_with_counters v USING (id)
WHERE j.id = ANY (%(ids)s::uuid[]) AND j.tenant = %(tenant)s AND j.kind = 'indexing';
