"""Splitting: which stretches of a document's text become chunks, as the collection says."""

from __future__ import annotations

from collections.abc import Callable

from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.given_parts import PartedText
from indexmill.domain.splitting import Method, Splitting
from indexmill.errors import TransientError
from indexmill.models.embedding_model import EmbeddingModel
from indexmill.pipeline.fixed_splitting import split_fixed
from indexmill.pipeline.section_splitting import split_sections
from indexmill.pipeline.splitting import split
from indexmill.pipeline.window import WorkItem

__all__ = ["MAX_CHUNKS", "split_items", "split_last_tries"]

#: A document of more chunks would be one statement of more than PostgreSQL takes.
MAX_CHUNKS = 200_000
#: They are one array, of which PostgreSQL takes 1 GiB with what else belongs to them.
_MAX_VECTOR_BYTES = 768 * 1024 * 1024
_MARKDOWN = "text/markdown"


def split_items(
    items: list[WorkItem],
    splitting: str,
    model: EmbeddingModel,
    check: Callable[[], None],
    before: Callable[[int], None] | None = None,
) -> None:
    """Give every item the spans of its chunks, in characters of its text, or its failure. `check` may raise to stop.

    `splitting`: of items that have none of their own. `before`, where given, is called with the position of the item
    that is split next.

    Raises:
        TransientError, ModelError: as counting its tokens does.
    """
    named: dict[str, Splitting | None] = {}
    for item in items:
        name = item.splitting or splitting
        if name not in named:
            named[name] = Splitting.named(name)
        wanted = named[name]
        parted = item.reading.parted if item.reading is not None else None
        if parted is not None:
            item.spans = _spans_of_parts(parted, wanted, model, check)
            _check_number(item, model.dimension)
            continue
        if wanted is None:
            item.spans = ((0, len(item.text or "")),)
            continue
        check()
        if before is not None:
            before(item.position)
        item.spans = _spans(item, wanted, model, check)
        _check_number(item, model.dimension)


def split_last_tries(
    items: list[WorkItem], splitting: str, model: EmbeddingModel, *, tries: int, before: Callable[[int], None]
) -> None:
    """Split what is not split yet; where the passing cause has not passed, the item fails and no other."""
    for item in items:
        if item.spans:
            continue
        try:
            split_items([item], splitting, model, lambda: None, before)
        except TransientError as error:
            sentence = f"Given up after {tries} tries, the last one: {error}"
            item.fail(Stage.SPLIT, FailureCode.TRIES_EXHAUSTED, sentence[:1500], retryable=True)


def _spans_of_parts(
    parted: PartedText, wanted: Splitting | None, model: EmbeddingModel, check: Callable[[], None]
) -> tuple[tuple[int, int], ...]:
    """No chunk lies in two parts: what is found by a part's metadata is of that part."""
    spans: list[tuple[int, int]] = []
    for start, end in parted.spans_of_parts():
        check()
        if parted.whole_parts or wanted is None:
            spans.append((start, end))
        else:
            text = parted.text[start:end]
            spans += [(start + first, start + last) for first, last in _cut(text, wanted, model, check)]
    return tuple(spans)


def _cut(text: str, wanted: Splitting, model: EmbeddingModel, check: Callable[[], None]) -> list[tuple[int, int]]:
    if wanted.method is Method.FIXED:
        return list(split_fixed(text, wanted.size, model.count_tokens, check=check))
    return list(split(text, wanted.size, wanted.overlap, model.count_tokens, check=check))


def _spans(
    item: WorkItem, wanted: Splitting, model: EmbeddingModel, check: Callable[[], None]
) -> tuple[tuple[int, int], ...]:
    text, reading = item.text or "", item.reading
    if wanted.method is Method.FIXED:
        return tuple(split_fixed(text, wanted.size, model.count_tokens, check=check))
    headings = reading.headings if reading is not None else ()
    is_markdown = reading is not None and reading.media_type == _MARKDOWN
    if wanted.method is Method.SECTIONS:
        return tuple(
            split_sections(
                text, wanted.size, model.count_tokens, headings=headings, is_markdown=is_markdown, check=check
            )
        )
    return tuple(
        split(
            text,
            wanted.size,
            wanted.overlap,
            model.count_tokens,
            headings=headings,
            is_markdown=is_markdown,
            check=check,
        )
    )


def _check_number(item: WorkItem, dimension: int) -> None:
    most = min(MAX_CHUNKS, _MAX_VECTOR_BYTES // (4 * dimension))
    if not item.spans:
        item.fail(Stage.SPLIT, FailureCode.NO_CONTENT, "The document has no text to split", retryable=False)
    elif len(item.spans) > most:
        item.fail(
            Stage.SPLIT,
            FailureCode.TOO_MANY_CHUNKS,
            f"The document has {len(item.spans):,} chunks, more than the allowed {most:,}; split it, or use a "
            "collection with larger chunks",
            retryable=False,
        )
