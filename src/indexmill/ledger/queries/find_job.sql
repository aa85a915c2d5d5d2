SELECT * FROM job_with_counters WHERE id = %(id)s AND state <> 'receiving';
