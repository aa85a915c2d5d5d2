-- From the commit on, whatever was submitted before loses.
UPDATE collection SET min_seq = next_job_seq(id), next_generation = NULL WHERE id = %(collection)s RETURNING min_seq;
