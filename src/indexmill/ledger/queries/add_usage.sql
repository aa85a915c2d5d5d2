INSERT INTO tenant_usage (tenant, day, bytes)
VALUES (%(tenant)s, (ledger_now() AT TIME ZONE 'UTC')::date, %(bytes)s)
ON CONFLICT (tenant, day) DO UPDATE SET bytes = tenant_usage.bytes + excluded.bytes
RETURNING bytes;
