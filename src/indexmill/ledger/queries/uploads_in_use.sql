-- Which of these uploaded objects belong to a data source.
SELECT settings ->> 'stored_object_key' AS object_key FROM data_source
WHERE kind = 'file_upload' AND deleted_at IS NULL AND settings ->> 'stored_object_key' = ANY (%(keys)s::text[]);
