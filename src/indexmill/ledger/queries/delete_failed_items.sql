-- Of these batches of the job, or of all.
DELETE FROM failed_item WHERE job = %(id)s AND (%(ordinals)s::integer[] IS NULL OR ordinal = ANY (%(ordinals)s::integer[]));
