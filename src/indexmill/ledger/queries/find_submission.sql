SELECT * FROM job_with_counters
WHERE tenant = %(tenant)s AND kind = %(kind)s AND external_id = %(external_id)s AND state <> 'receiving';
