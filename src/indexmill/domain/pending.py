"""`Pending`: what a verb has begun, and what it answers when the job that does it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from indexmill.domain.job import Job

__all__ = ["Pending"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Pending(Generic[T_co]):
    """Whoever waits holds nothing meanwhile; `finish` may block and raise, and is called once, with the ended job.

    `job`: None where there is nothing to wait for. `seconds`: how long it is waited for; it goes on after that.
    """

    job: Job | None
    seconds: float
    finish: Callable[[Job | None], T_co]

    @staticmethod
    def done(answer: T) -> Pending[T]:
        """There was nothing to do."""
        return Pending(None, 0.0, lambda _: answer)

    def then(self, view: Callable[[T_co], T]) -> Pending[T]:
        """The same, with its answer as `view` shows it."""
        return Pending(self.job, self.seconds, lambda ended: view(self.finish(ended)))
