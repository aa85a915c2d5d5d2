"""Prune uploads: files that were sent for a data source which was never made, or is deleted."""

from __future__ import annotations

from indexmill.ledger.ledger import Ledger
from indexmill.sources.upload_store import UploadStore
from indexmill.worker.sweeps import Sweep, pruning

#: Time to make the data source after the upload.
_OLDER_THAN_SECONDS = 24 * 3600.0
_MAX_FILES = 5000


def sweep(ledger: Ledger, uploads: UploadStore, *, is_shared: bool) -> Sweep:
    return pruning(
        "prune_uploads",
        lambda: uploads.prune(ledger.knowledge_bases.uploads_in_use, _OLDER_THAN_SECONDS, _MAX_FILES),
        "uploads that no data source needs",
        is_shared=is_shared,
    )
