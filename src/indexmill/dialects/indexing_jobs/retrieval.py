"""Retrieving with a filter: what must be equal narrows the search, other conditions choose among the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID

from indexmill.dialects.indexing_jobs.verbs import KnowledgeBaseVerbs
from indexmill.domain.metadata_filter import MetadataFilter, Operator, document_metadata
from indexmill.vectors.chunk_search import ChunkHit

__all__ = ["WIDEST", "nearest_chunks"]

#: Among so many of the nearest chunks conditions other than equality choose at most.
WIDEST: Final = 1000
_WIDER: Final = 4


def nearest_chunks(
    verbs: KnowledgeBaseVerbs, base: UUID, query: str, limit: int, wanted: MetadataFilter | None
) -> Sequence[ChunkHit]:
    """The nearest chunks whose documents match, best first."""
    if wanted is None:
        return verbs.retrieve(base, query, limit, ())
    equal = [{each.field: each.value} for each in wanted.must if each.operator is Operator.EQ]
    is_narrowed = len(equal) == len(wanted.must) and not wanted.must_not and not wanted.should
    width = limit if is_narrowed else min(WIDEST, limit * _WIDER)
    while True:
        hits = verbs.retrieve(base, query, width, equal)
        matching = list(islice((hit for hit in hits if _matches(hit, wanted)), limit))
        if len(matching) == limit or len(hits) < width or width == WIDEST:
            return matching
        width = min(WIDEST, width * _WIDER)


def _matches(hit: ChunkHit, wanted: MetadataFilter) -> bool:
    metadata: dict[str, Any] = document_metadata(hit.document.payload, hit.document.item_info)
    return wanted.matches(metadata)
