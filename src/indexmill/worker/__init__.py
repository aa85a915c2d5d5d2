"""Worker processes: Celery wakes them, the ledger tells them what to do. The only package that imports Celery."""
