SELECT * FROM (
    SELECT *, row_number() OVER in_order AS place,
           sum(length(sentence) + length(object_id) + 4 * coalesce(length(attachment), 0) + 200) OVER in_order AS size
    FROM (
        SELECT * FROM failed_item
        WHERE job = %(job)s AND position > %(after)s
        ORDER BY position LIMIT %(limit)s
    ) first_rows
    WINDOW in_order AS (ORDER BY position ROWS UNBOUNDED PRECEDING)
) sized
WHERE place = 1 OR size <= %(max_bytes)s
ORDER BY position;
