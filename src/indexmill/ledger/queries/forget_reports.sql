-- What a job that changes a whole collection has reported beside its one item. The job is locked, and open.
WITH gone AS (
    DELETE FROM batch WHERE job = %(job)s AND ordinal > 0 RETURNING items
), forgotten AS (
    DELETE FROM failed_item WHERE job = %(job)s AND ordinal > 0
)
UPDATE job
SET total_items = total_items - (SELECT sum(items) FROM gone)
WHERE id = %(job)s AND EXISTS (SELECT FROM gone);
