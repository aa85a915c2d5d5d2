SELECT b.ordinal, b.work, b.source, b.state, b.outcomes, b.first_position, b.items, b.source_bytes, body.body
FROM batch b JOIN batch_body body USING (job, ordinal)
WHERE b.job = %(job)s AND b.ordinal > %(after)s AND b.work <> 'scan'
ORDER BY b.ordinal LIMIT %(limit)s;
