INSERT INTO api_key (id, tenant, name, role, hash, expires_at)
VALUES (%(id)s, %(tenant)s, %(name)s, %(role)s, %(hash)s,
        ledger_now() + make_interval(secs => %(seconds)s::double precision))
RETURNING id, tenant, name, role, created_at, expires_at, disabled_at, last_used_at;
