-- Its job's later callbacks wait with it.
WITH first AS (
    UPDATE callback_outbox
    SET due_at = ledger_now() + make_interval(secs => %(seconds)s), problem = %(problem)s,
        refused_at = coalesce(refused_at, ledger_now())
    WHERE id = %(id)s AND settled_at IS NULL
    RETURNING id, job
), later AS (
    UPDATE callback_outbox o
    SET due_at = greatest(o.due_at, ledger_now() + make_interval(secs => %(seconds)s))
    FROM first
    WHERE o.job = first.job AND o.id > first.id AND o.settled_at IS NULL
)
SELECT id FROM first;
