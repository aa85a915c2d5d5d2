SELECT count(*) AS waiting FROM callback_outbox WHERE settled_at IS NULL;
