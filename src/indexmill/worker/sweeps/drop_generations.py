"""Drop what no search reads any more: chunks that a rebuild has replaced, sets of filter attributes that another one
has, and what deleted collections have left.
"""

from __future__ import annotations

import logging

from indexmill.ledger.ledger import Ledger
from indexmill.vectors.attribute_sets import AttributeSets
from indexmill.vectors.chunk_tables import drop_retired
from indexmill.worker.sweeps import Sweep

_log = logging.getLogger(__name__)
_SECONDS = 30.0
_LEAST_GRACE = 60.0


def sweep(ledger: Ledger, search_seconds: float) -> Sweep:
    """`search_seconds`: what a search may take."""
    grace = max(_LEAST_GRACE, 2 * search_seconds)
    sets = AttributeSets(ledger.database)

    def run() -> None:
        ledger.generations.give_up_abandoned()
        for name in drop_retired(ledger.database, grace):
            _log.info("table %s is not in use any more; dropped", name)
        for number in sets.drop_abandoned(grace):
            _log.info("attribute set %s is not in use any more; dropped", number)

    return Sweep("drop_generations", _SECONDS, run, slow=True)
