"""The periodic duties. Each is idempotent, does a bounded amount a turn, and says in its module what it repairs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from indexmill.domain.callback import Compose
from indexmill.errors import TransientError
from indexmill.ledger.ledger import Ledger
from indexmill.settings import Settings
from indexmill.sources.kept_files import Pruned
from indexmill.sources.spool import Spool
from indexmill.sources.upload_store import open_upload_store
from indexmill.sources.uri import Sources

__all__ = ["PRUNE_SECONDS", "Sweep", "all_sweeps", "callback_sweeps", "index_sweeps", "page_by_page", "pruning"]

_log = logging.getLogger(__name__)
#: Between two looks for files that nobody needs.
PRUNE_SECONDS = 600.0


@dataclass(frozen=True)
class Sweep:
    """`run` is called every `seconds` by one process of all, or, where it is `local`, by every process."""

    name: str
    seconds: float
    run: Callable[[], object]
    #: It looks after what is on this host.
    local: bool = False
    #: It waits for files or a bucket, and the others must not wait for it.
    slow: bool = False


def page_by_page(take: Callable[[UUID | None], UUID | None]) -> Callable[[], None]:
    """A duty that takes a page a turn: `take` is given where it begins, and says where the next one does."""
    after: UUID | None = None

    def run() -> None:
        nonlocal after
        after = take(after)

    return run


def pruning(name: str, prune: Callable[[], Pruned], what: str, *, is_shared: bool) -> Sweep:
    """The duty of removing files that nobody needs.

    Args:
        what: they are, for the log.
        is_shared: one process may do it for every host; else the files lie in a folder of this one.
    """

    def run() -> None:
        try:
            pruned = prune()
        except TransientError as error:
            _log.warning("%s could not be looked for: %s", what, error)
            return
        if pruned.files:
            _log.info("removed %d %s (%d bytes)", pruned.files, what, pruned.bytes)

    return Sweep(name, PRUNE_SECONDS, run, local=not is_shared, slow=True)


def all_sweeps(
    ledger: Ledger, settings: Settings, top_up: Callable[[], object], spool: Spool, sources: Sources
) -> list[Sweep]:
    """Every duty of the ledger's own; `top_up` is what wakes workers."""
    from indexmill.worker.sweeps import (
        drop_generations,
        end_withdrawn,
        finish,
        give_up_lanes,
        prune,
        prune_spool,
        prune_uploads,
        rescue,
        wake,
    )

    # The interval of the quick ones.
    seconds = settings.worker.sweep_seconds
    is_shared = settings.sources.spool_url is not None
    return [
        rescue.sweep(ledger, seconds, top_up),
        wake.sweep(ledger, seconds, top_up),
        finish.sweep(ledger, seconds),
        give_up_lanes.sweep(ledger, 5 * seconds),
        end_withdrawn.sweep(ledger, 5 * seconds),
        prune.sweep(ledger),
        drop_generations.sweep(ledger, settings.server.search_timeout_seconds),
        prune_spool.sweep(ledger, spool, is_shared=is_shared),
        prune_uploads.sweep(ledger, open_upload_store(settings), is_shared=is_shared),
        prune_spool.leftovers_sweep(sources),
    ]


def index_sweeps(ledger: Ledger, settings: Settings) -> list[Sweep]:
    """The duty that may take hours at a time."""
    from indexmill.vectors.vector_index import open_indexes
    from indexmill.worker.sweeps import vector_indexes

    return [vector_indexes.sweep(ledger, settings, open_indexes(ledger, settings))]


def callback_sweeps(ledger: Ledger, settings: Settings, compose: Compose) -> list[Sweep]:
    """The duty that talks to a broker that is not ours; `compose` makes the messages."""
    from indexmill.worker.sweeps import callbacks

    found = callbacks.sweep(ledger, settings, compose)
    return [found] if found is not None else []
