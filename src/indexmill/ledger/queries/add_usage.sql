-- Days that nobody asks about any more go along.
WITH old AS (
    DELETE FROM tenant_usage
    WHERE tenant = %(tenant)s AND day < (ledger_now() AT TIME ZONE 'UTC')::date - 40
)
INSERT INTO tenant_usage (tenant, day, bytes)
VALUES (%(tenant)s, (ledger_now() AT TIME ZONE 'UTC')::date, %(bytes)s)
ON CONFLICT (tenant, day) DO UPDATE SET bytes = tenant_usage.bytes + excluded.bytes
RETURNING bytes;
