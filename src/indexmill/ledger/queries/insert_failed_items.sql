INSERT INTO failed_item (job, ordinal, position, stage, code, sentence, retryable, object_id, attachment)
SELECT %(job)s, %(ordinal)s, f.*
FROM unnest(%(positions)s::bigint[], %(stages)s::text[], %(codes)s::text[], %(sentences)s::text[],
            %(retryable)s::boolean[], %(object_ids)s::text[], %(attachments)s::bytea[]) AS f
ON CONFLICT (job, position) DO UPDATE
SET stage = excluded.stage, code = excluded.code, sentence = excluded.sentence, retryable = excluded.retryable,
    object_id = excluded.object_id, attachment = excluded.attachment;
