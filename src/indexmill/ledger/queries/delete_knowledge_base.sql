UPDATE knowledge_base SET deleted_at = ledger_now(), updated_at = ledger_now() WHERE id = %(id)s;
