SELECT worker FROM pipeline_total
WHERE starts_with(worker, %(worker)s || '/') AND updated_at > ledger_now() - make_interval(secs => %(seconds)s);
