"""Front door 4: every job of the tenant, and corpora, in two versions of one API."""
