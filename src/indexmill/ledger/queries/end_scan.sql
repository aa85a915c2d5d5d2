-- running -> done: from now on only what it found counts.
WITH ended AS (
    UPDATE batch SET state = 'done', outcomes = '', items = 0, ended_at = ledger_now()
    WHERE job = %(job)s AND ordinal = %(ordinal)s AND state = 'running'
    RETURNING job
)
UPDATE job j SET total_items = total_items - 1, updated_at = ledger_now() FROM ended WHERE j.id = ended.job;
