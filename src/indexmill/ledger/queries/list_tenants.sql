SELECT id, name, weight, requests_per_minute, queued_items, bytes_per_day, created_at FROM tenant ORDER BY name;
