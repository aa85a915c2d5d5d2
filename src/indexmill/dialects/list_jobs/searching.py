"""Searching one or several corpora: the nearest of each, in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from indexmill.dialects.list_jobs.deadlines import in_time
from indexmill.dialects.list_jobs.verbs import CorpusVerbs
from indexmill.domain.corpus import QueryHit
from indexmill.errors import InvalidRequest

__all__ = ["MAX_FOUND", "FoundPart", "SearchedCorpus", "nearest"]

#: How deep a search may page.
MAX_FOUND: Final = 1000


@dataclass(frozen=True)
class SearchedCorpus:
    """A corpus, and which of its parts are wanted. `query`: what it is asked, where that is not what all are."""

    key: str
    metadata_filter: str | None
    number: int = 0
    query: str | None = None


@dataclass(frozen=True)
class FoundPart:
    """`place`: of the corpus in the request."""

    place: int
    corpus: SearchedCorpus
    hit: QueryHit


def nearest(
    verbs: CorpusVerbs, corpora: Sequence[SearchedCorpus], text: str, limit: int, offset: int, *, seconds: float
) -> list[FoundPart]:
    """The nearest of all of them, best first; where they are equally near, in the order of the corpora.

    Args:
        seconds: after which no further corpus is searched: nobody waits for the answer any more.

    Raises:
        InvalidRequest: too deep, or a filter that cannot be read.
        TimeoutError
    """
    places = in_time(enumerate(corpora), seconds)
    if offset + limit > MAX_FOUND:
        raise InvalidRequest(f"offset and limit: expected at most {MAX_FOUND} together, got {offset + limit}")
    if len(corpora) == 1:
        hits = verbs.query(corpora[0].key, corpora[0].query or text, limit, offset, corpora[0].metadata_filter)
        return [FoundPart(0, corpora[0], hit) for hit in hits]
    found: list[FoundPart] = []
    for place, corpus in places:
        hits = verbs.query(corpus.key, corpus.query or text, offset + limit, 0, corpus.metadata_filter)
        # No more is kept than may be shown, however many corpora there are.
        found += (FoundPart(place, corpus, hit) for hit in hits)
        found = sorted(found, key=lambda each: -each.hit.score)[: offset + limit]
    return found[offset:]
