SELECT number, at, state, reason, detail FROM job_event WHERE job = %(job)s ORDER BY number;
