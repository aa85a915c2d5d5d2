DELETE FROM structural_progress WHERE job = %(job)s;
