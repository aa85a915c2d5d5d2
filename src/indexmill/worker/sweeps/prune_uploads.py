"""Prune uploads: files that were sent for a data source which was never made, or is deleted."""

from __future__ import annotations

import logging

from indexmill.errors import TransientError
from indexmill.ledger.ledger import Ledger
from indexmill.sources.upload_store import UploadStore
from indexmill.worker.sweeps import Sweep

_log = logging.getLogger(__name__)
_SECONDS = 600.0
#: Time to make the data source after the upload.
_OLDER_THAN_SECONDS = 24 * 3600.0
_MAX_FILES = 5000


def sweep(ledger: Ledger, uploads: UploadStore, *, is_shared: bool) -> Sweep:
    """`is_shared`: one process may do it for every host; else the uploads are a folder of this one."""

    def run() -> None:
        try:
            pruned = uploads.prune(ledger.knowledge_bases.uploads_in_use, _OLDER_THAN_SECONDS, _MAX_FILES)
        except TransientError as error:
            _log.warning("uploads could not be pruned: %s", error)
            return
        if pruned.files:
            _log.info("removed %d uploads (%d bytes) that no data source needs", pruned.files, pruned.bytes)

    return Sweep("prune_uploads", _SECONDS, run, local=not is_shared, slow=True)
