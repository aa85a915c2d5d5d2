SELECT visited, known FROM job_source WHERE job = %(job)s AND source = %(source)s;
