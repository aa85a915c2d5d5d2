-- running -> ready or waiting, behind what has become ready meanwhile; it is fenced.
UPDATE batch
SET state = CASE WHEN %(seconds)s::float8 > 0 THEN 'waiting' ELSE 'ready' END, lease = NULL, rank = ledger_now(),
    -- It got further: whoever lost it before did not lose it to what comes next.
    tries = 0, losses = 0, available_at = ledger_now() + make_interval(secs => %(seconds)s)
WHERE job = %(job)s AND ordinal = %(ordinal)s AND state = 'running';
