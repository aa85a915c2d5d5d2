SELECT EXISTS (SELECT 1 FROM callback_outbox WHERE settled_at IS NULL AND due_at <= ledger_now()) AS due;
