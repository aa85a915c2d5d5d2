SELECT 1 AS one FROM api_key LIMIT 1;
