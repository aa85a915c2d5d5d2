-- What is not given stays.
UPDATE tenant
SET weight = coalesce(%(weight)s::real, weight),
    requests_per_minute = CASE WHEN %(requests_per_minute)s::integer = -1 THEN NULL
                               ELSE coalesce(%(requests_per_minute)s::integer, requests_per_minute) END,
    queued_items = CASE WHEN %(queued_items)s::bigint = -1 THEN NULL
                        ELSE coalesce(%(queued_items)s::bigint, queued_items) END,
    bytes_per_day = CASE WHEN %(bytes_per_day)s::bigint = -1 THEN NULL
                         ELSE coalesce(%(bytes_per_day)s::bigint, bytes_per_day) END
WHERE name = %(name)s
RETURNING id;
