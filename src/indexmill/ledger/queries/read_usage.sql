SELECT coalesce((SELECT bytes FROM tenant_usage
                 WHERE tenant = %(tenant)s AND day = (ledger_now() AT TIME ZONE 'UTC')::date), 0) AS bytes,
       extract(epoch FROM date_trunc('day', ledger_now() AT TIME ZONE 'UTC') + interval '1 day'
                          - ledger_now() AT TIME ZONE 'UTC')::integer AS seconds_left;
