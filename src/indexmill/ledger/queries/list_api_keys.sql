SELECT k.id, k.tenant, t.name AS tenant_name, k.name, k.role, k.created_at, k.expires_at, k.disabled_at, k.last_used_at
FROM api_key k JOIN tenant t ON t.id = k.tenant
WHERE %(tenant)s::text IS NULL OR t.name = %(tenant)s
ORDER BY t.name, k.created_at, k.id LIMIT %(limit)s;
