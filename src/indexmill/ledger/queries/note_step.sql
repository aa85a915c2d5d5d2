UPDATE batch SET step = %(step)s WHERE job = %(job)s AND ordinal = %(ordinal)s;
