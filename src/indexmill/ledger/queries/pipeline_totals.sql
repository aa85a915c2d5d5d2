SELECT coalesce(sum(windows), 0)::bigint AS windows, coalesce(sum(items), 0)::bigint AS items,
       coalesce(sum(embedded), 0)::bigint AS embedded, coalesce(sum(tokens), 0)::bigint AS tokens
FROM pipeline_total;
