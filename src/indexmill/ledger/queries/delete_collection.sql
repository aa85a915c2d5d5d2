-- Whatever was submitted loses, and what is being submitted at this moment, too: nothing would ever remove what it wrote.
UPDATE collection SET deleted_at = ledger_now(), name = deleted_name(name, id), min_seq = 9223372036854775807
WHERE id = %(collection)s AND deleted_at IS NULL RETURNING id;
