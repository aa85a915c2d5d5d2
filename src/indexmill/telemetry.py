"""How the service logs: one form for all its processes."""

from __future__ import annotations

import logging
import time

__all__ = ["OneInAWhile", "set_up_logging"]

_FORMAT = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"
#: Of a database or a broker that is away every process tells this often, not once or more a second.
_REPEAT_SECONDS = 30.0
_REPEATING = ("psycopg.pool", "indexmill.worker.waker")


def set_up_logging(level: str) -> None:
    """One line a record, to standard error; libraries only from warnings on."""
    logging.basicConfig(level=logging.WARNING, format=_FORMAT, force=True)
    logging.getLogger("indexmill").setLevel(level.upper())
    for name in _REPEATING:
        logger = logging.getLogger(name)
        for old in [each for each in logger.filters if isinstance(each, OneInAWhile)]:
            logger.removeFilter(old)
        logger.addFilter(OneInAWhile(_REPEAT_SECONDS))


class OneInAWhile(logging.Filter):
    """Lets one record of each kind through every so many seconds.

    What it held back is counted in the next one that it lets through.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        #: By the records' text without its values: when the last one passed, and how many were held back since.
        self._passed: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = str(record.msg)
        now = time.monotonic()
        passed_at, held_back = self._passed.get(kind, (-self._seconds, 0))
        if now - passed_at < self._seconds:
            self._passed[kind] = (passed_at, held_back + 1)
            return False
        self._passed[kind] = (now, 0)
        if held_back:
            record.msg = f"{record.msg} (and {held_back} more like it)"
        return True
