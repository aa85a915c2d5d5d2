-- Decided items stay decided: the worker runs only those whose outcome is open, failed or cancelled. What came from a data
-- source that is deleted stays as it is, but where it is being removed.
UPDATE batch b
SET state = 'ready', rank = ledger_now() + ordinal * interval '30 seconds', lease = NULL, tries = 0, losses = 0,
    set_aside = NULL, available_at = ledger_now(), failed = 0, cancelled = 0, ended_at = NULL
WHERE b.job = %(id)s AND (b.state = 'cancelled' OR b.failed > 0)
  AND (%(cleans_up)s OR NOT EXISTS (SELECT 1 FROM data_source s WHERE s.id = b.source AND s.deleted_at IS NOT NULL))
RETURNING b.ordinal;
