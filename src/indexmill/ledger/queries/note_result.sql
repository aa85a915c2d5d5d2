UPDATE job SET result = %(result)s, updated_at = ledger_now() WHERE id = %(job)s;
