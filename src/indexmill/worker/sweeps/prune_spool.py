"""Prune the spool: files that no job needs, and fetched files of processes that were killed."""

from __future__ import annotations

import logging

from indexmill.errors import TransientError
from indexmill.ledger.ledger import Ledger
from indexmill.sources.spool import Spool
from indexmill.sources.uri import Sources
from indexmill.worker.sweeps import Sweep

_log = logging.getLogger(__name__)
_SECONDS = 600.0
#: An upload's job is stored well before.
_OLDER_THAN_SECONDS = 3600.0
_MAX_FILES = 5000


def sweep(ledger: Ledger, spool: Spool, *, is_shared: bool) -> Sweep:
    """`is_shared`: one process may do it for every host; else the spool is a folder of this one."""

    def run() -> None:
        try:
            pruned = spool.prune(ledger.spooled.in_use, _OLDER_THAN_SECONDS, _MAX_FILES)
        except TransientError as error:
            _log.warning("the spool could not be pruned: %s", error)
            return
        if pruned.files:
            _log.info("removed %d files (%d bytes) that no job needs from the spool", pruned.files, pruned.bytes)

    return Sweep("prune_spool", _SECONDS, run, local=not is_shared, slow=True)


def leftovers_sweep(sources: Sources) -> Sweep:
    return Sweep("remove_leftovers", _SECONDS, sources.remove_leftovers, local=True, slow=True)
