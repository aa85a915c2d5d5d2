-- Decided items stay decided: the worker runs only those whose outcome is open, failed or cancelled.
UPDATE batch b
SET state = 'ready', rank = ledger_now() + ordinal * interval '30 seconds', lease = NULL, tries = 0, losses = 0,
    set_aside = NULL, available_at = ledger_now(), failed = 0, cancelled = 0, ended_at = NULL
WHERE b.job = %(id)s AND (b.state = 'cancelled' OR b.failed > 0)
RETURNING b.ordinal;
