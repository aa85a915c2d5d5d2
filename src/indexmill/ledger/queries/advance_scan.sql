UPDATE job_source
SET cursor = %(cursor)s, phase = %(phase)s, started_at = coalesce(started_at, ledger_now()),
    error_code = %(error_code)s, error_sentence = %(error_sentence)s
WHERE job = %(job)s AND source = %(source)s;
