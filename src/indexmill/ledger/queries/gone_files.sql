-- Files that this job's listing has not met.
SELECT key, document FROM source_file
WHERE source = %(source)s AND seen < %(seq)s AND key > %(after)s
ORDER BY key LIMIT %(limit)s;
