UPDATE batch b
SET state = 'ready', rank = ledger_now() + ordinal * interval '30 seconds', lease = NULL, tries = 0, losses = 0,
    set_aside = NULL, available_at = ledger_now(), outcomes = NULL, superseded_by = NULL,
    indexed = 0, unchanged = 0, payload_updated = 0, superseded = 0, removed = 0, absent = 0, failed = 0,
    cancelled = 0, chunks = 0, tokens = 0, embedded = 0, ended_at = NULL
WHERE b.job = %(id)s
RETURNING b.ordinal;
