SELECT 1 FROM batch WHERE job = %(job)s AND ordinal = %(ordinal)s AND step = %(step)s;
