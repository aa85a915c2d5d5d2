"""Questions with a filter that two sets of filter attributes answer differently, asked while one replaces the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute

__all__ = ["BY_BOTH", "BY_NEW", "NEW", "OLD", "Answer", "Watch", "texts_and_values"]

#: The ids that were found; None: refused, as no such attribute is declared.
Answer = frozenset[str] | None

DOC = AttributeLevel.DOCUMENT
OLD = [FilterAttribute(name, DOC, AttributeType.INTEGER) for name in ("v", "w")]
NEW = [
    *(FilterAttribute(name, DOC, AttributeType.TEXT) for name in ("v", "w")),
    FilterAttribute("x", DOC, AttributeType.TEXT),
]
#: 9 is less than 10, and '10' is less than '9': one set finds one half of the documents, the other the other half.
BY_BOTH = "doc.v < doc.w"
#: Only the new set has it.
BY_NEW = "doc.x = 'all'"


def texts_and_values(count: int) -> dict[str, dict[str, Any]]:
    """Payloads by id. Values fit both sets."""
    values = ({"v": "9", "w": "10"}, {"v": 10, "w": 9})
    return {f"d{n:05}": {"text": f"document {n}", **values[n % 2], "x": "all"} for n in range(count)}


@dataclass
class Watch:
    """Asks one question again and again, and keeps each answer with the times at which it was asked and given."""

    ask: Callable[[], Answer]
    answers: list[tuple[float, float, Answer]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, threads: int = 1) -> Iterator[None]:
        asking = [threading.Thread(target=self._go_on) for _ in range(threads)]
        for thread in asking:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in asking:
                thread.join(timeout=60)

    def _go_on(self) -> None:
        try:
            while not self._ended.wait(0.005):
                began = time.monotonic()
                answer = self.ask()
                self.answers.append((began, time.monotonic(), answer))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            self.problems.append(f"{type(error).__name__}: {error}")

    def check(self, old: Answer, new: Answer) -> None:
        """Every answer is the old set's or the new one's, both were given, and after the first new one no old one."""
        assert self.problems == []
        assert old != new
        other = [answer for _, _, answer in self.answers if answer not in (old, new)]
        sizes = [None if answer is None else len(answer) for answer in other]
        assert other == [], (
            f"{len(other)} of {len(self.answers)} answers by neither set, of so many documents: {sizes[:10]}"
        )
        given = {answer for _, _, answer in self.answers}
        assert given == {old, new}, f"{len(self.answers)} answers, by one set only: nothing was shown"
        switched = min(ended for _, ended, answer in self.answers if answer == new)
        late = [began for began, _, answer in self.answers if answer == old and began > switched]
        assert late == [], "asked after an answer by the new set, and answered by the old one"
