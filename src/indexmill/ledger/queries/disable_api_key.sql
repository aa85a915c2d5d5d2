-- Now, or some seconds from now; never later than before.
UPDATE api_key
SET disabled_at = CASE WHEN %(seconds)s::double precision = 0 THEN coalesce(disabled_at, ledger_now()) ELSE disabled_at END,
    expires_at = CASE WHEN %(seconds)s::double precision = 0 THEN expires_at
                 ELSE least(expires_at, ledger_now() + make_interval(secs => %(seconds)s::double precision)) END
WHERE id = %(id)s
RETURNING id;
