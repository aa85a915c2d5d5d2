"""Prune the spool: files that no job needs, and fetched files of processes that were killed."""

from __future__ import annotations

from indexmill.ledger.ledger import Ledger
from indexmill.sources.spool import Spool
from indexmill.sources.uri import Sources
from indexmill.worker.sweeps import PRUNE_SECONDS, Sweep, pruning

#: An upload's job is stored well before.
_OLDER_THAN_SECONDS = 3600.0
_MAX_FILES = 5000


def sweep(ledger: Ledger, spool: Spool, *, is_shared: bool) -> Sweep:
    return pruning(
        "prune_spool",
        lambda: spool.prune(ledger.spooled.in_use, _OLDER_THAN_SECONDS, _MAX_FILES),
        "files of the spool that no job needs",
        is_shared=is_shared,
    )


def leftovers_sweep(sources: Sources) -> Sweep:
    return Sweep("remove_leftovers", PRUNE_SECONDS, sources.remove_leftovers, local=True, slow=True)
