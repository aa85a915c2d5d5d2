"""How the service logs: one form for all its processes."""

from __future__ import annotations

import logging

__all__ = ["set_up_logging"]

_FORMAT = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"


def set_up_logging(level: str) -> None:
    """One line a record, to standard error; libraries only from warnings on."""
    logging.basicConfig(level=logging.WARNING, format=_FORMAT, force=True)
    logging.getLogger("indexmill").setLevel(level.upper())
