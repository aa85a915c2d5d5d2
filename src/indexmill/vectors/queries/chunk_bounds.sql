SELECT min(document) AS first, max(document) AS last FROM {table};
