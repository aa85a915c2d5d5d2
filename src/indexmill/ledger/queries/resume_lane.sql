UPDATE lane SET stopped_at = NULL, stop_reason = NULL, probe_at = NULL
WHERE name = %(lane)s AND stopped_at IS NOT NULL;
