UPDATE lane
SET stopped_at = coalesce(stopped_at, ledger_now()), stop_reason = %(reason)s,
    probe_at = ledger_now() + make_interval(secs => %(seconds)s)
WHERE name = %(lane)s;
