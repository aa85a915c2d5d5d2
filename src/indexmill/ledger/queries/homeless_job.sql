-- The job, where its collection has been deleted.
SELECT j.id FROM job j JOIN collection c ON c.id = j.collection WHERE j.id = %(id)s AND c.deleted_at IS NOT NULL;
