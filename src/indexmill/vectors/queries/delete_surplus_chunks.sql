-- A statement of its own: its snapshot must see the chunks of whoever wrote the document just before.
DELETE FROM {table} c USING document d
WHERE d.key = ANY (%(keys)s::bigint[]) AND c.document = d.key AND c.ordinal >= d.chunks;
