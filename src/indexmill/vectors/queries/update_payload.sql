-- What is said of a document, without its content. Its version stays: what was submitted later still wins, and replaces
-- all of it. No item says the same as it does now, so its hash is one that no item has.
UPDATE document
SET payload = CASE WHEN %(replaces)s THEN %(payload)s::jsonb ELSE coalesce(payload, jsonb_build_object()) || %(payload)s::jsonb END,
    payload_hash = decode(md5(gen_random_uuid()::text), 'hex'), updated_at = ledger_now()
WHERE collection = %(collection)s AND id = %(id)s AND deleted_at IS NULL
RETURNING key, payload, parts;
