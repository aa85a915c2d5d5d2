SELECT body FROM batch_body WHERE job = %(job)s AND ordinal = %(ordinal)s;
