"""Front door 4: the ledger of all jobs, and corpora (Vectara's API, its first and its second version)."""
