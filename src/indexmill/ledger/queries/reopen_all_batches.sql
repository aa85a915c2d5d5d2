UPDATE batch b
-- A job that changes a whole collection waits for its turn.
SET state = CASE WHEN work IN ('rebuild', 'replace') THEN 'waiting' ELSE 'ready' END,
    rank = ledger_now() + ordinal * interval '30 seconds', lease = NULL, tries = 0, losses = 0,
    set_aside = NULL,
    available_at = CASE WHEN work IN ('rebuild', 'replace') THEN 'infinity' ELSE ledger_now() END,
    outcomes = NULL, superseded_by = NULL,
    indexed = 0, unchanged = 0, payload_updated = 0, superseded = 0, removed = 0, absent = 0, failed = 0,
    cancelled = 0, chunks = 0, tokens = 0, embedded = 0, ended_at = NULL
WHERE b.job = %(id)s
RETURNING b.ordinal;
