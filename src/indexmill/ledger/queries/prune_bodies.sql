WITH old AS (
    SELECT id FROM job
    WHERE finished_at < ledger_now() - make_interval(secs => %(days)s * 86400) AND bodies_deleted_at IS NULL
    ORDER BY finished_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
    UPDATE job j SET bodies_deleted_at = ledger_now() FROM old WHERE j.id = old.id
), deleted AS (
    DELETE FROM batch_body b USING old WHERE b.job = old.id
), forgotten AS (
    -- Of crawls that failed: nobody takes them up again without their items.
    DELETE FROM crawl_page c USING old WHERE c.job = old.id
)
SELECT id FROM old;
