UPDATE attribute_set SET filled_at = coalesce(filled_at, ledger_now()) WHERE number = %(number)s;
