"""Splitting: which stretches of a document's text become chunks, as the collection says."""

from __future__ import annotations

from collections.abc import Callable

from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.splitting import Splitting
from indexmill.models.embedding_model import EmbeddingModel
from indexmill.pipeline.splitting import split
from indexmill.pipeline.window import WorkItem

__all__ = ["MAX_CHUNKS", "split_items"]

#: A document of more chunks would be one statement of more than PostgreSQL takes.
MAX_CHUNKS = 200_000
_MARKDOWN = "text/markdown"


def split_items(items: list[WorkItem], splitting: str, model: EmbeddingModel, check: Callable[[], None]) -> None:
    """Give every item the spans of its chunks, in characters of its text. `check` may raise to stop."""
    wanted = Splitting.named(splitting)
    for item in items:
        if wanted is None:
            item.spans = ((0, len(item.text or "")),)
        else:
            check()
            item.spans = _spans(item, wanted, model, check)
            _check_number(item)


def _spans(
    item: WorkItem, wanted: Splitting, model: EmbeddingModel, check: Callable[[], None]
) -> tuple[tuple[int, int], ...]:
    reading = item.reading
    return tuple(
        split(
            item.text or "",
            wanted.size,
            wanted.overlap,
            model.count_tokens,
            headings=reading.headings if reading is not None else (),
            is_markdown=reading is not None and reading.media_type == _MARKDOWN,
            check=check,
        )
    )


def _check_number(item: WorkItem) -> None:
    if len(item.spans) > MAX_CHUNKS:
        item.fail(
            Stage.SPLIT,
            FailureCode.TOO_MANY_CHUNKS,
            f"The document has {len(item.spans):,} chunks, more than the allowed {MAX_CHUNKS:,}; split it, or use a "
            "collection with larger chunks",
            retryable=False,
        )
