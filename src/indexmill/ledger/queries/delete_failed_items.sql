DELETE FROM failed_item WHERE job = %(id)s;
