"""What a scan found, as items: which files are as they were indexed, and what reading the others needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from indexmill.domain.bodies import MAX_BATCH_ITEMS, Body, DistinctIds, RequestDigest, pack
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.item_source import SourceKind
from indexmill.domain.job import Item
from indexmill.domain.outcome import ItemStatus
from indexmill.ledger.knowledge_bases import OpenDataSource
from indexmill.ledger.scans import KnownFile, NewBatch, outcomes_of
from indexmill.sources.listing import FoundFile
from indexmill.sources.source import file_name_of_path

__all__ = ["document_id", "failed_page", "file_item", "new_batches", "read_as", "spooled_item", "text_item"]

#: What fetching and reading any file takes, as bytes of work: so that a window holds few enough of them. Small enough
#: that, unless its model is slow, the smallest window has more than are fetched at once.
_FILE_WEIGHT: Final = 4 * 1024


def document_id(source: UUID, key: str) -> str:
    return f"{source}/{key}"


def read_as(splitting: str, revision: str) -> str:
    """What decides whether a file must be read again: what it is, and how it becomes chunks."""
    return f"{splitting}/{revision}"


def file_item(source: OpenDataSource, splitting: str, file: FoundFile) -> Item:
    """A file that the worker fetches from its data source."""
    info = {"source": str(SourceKind.DATA_SOURCE), "file_name": file_name_of_path(file.key)}
    return _item(source, splitting, file, info, file.size + _FILE_WEIGHT)


def text_item(source: OpenDataSource, splitting: str, file: FoundFile, text: str) -> Item:
    """A page whose text, in Markdown, the scan has."""
    return _item(source, splitting, file, {"source": str(SourceKind.TEXT), "value": text, "file_name": "page.md"}, 0)


def spooled_item(source: OpenDataSource, splitting: str, file: FoundFile, reference: str, file_name: str) -> Item:
    """A file that the scan has put into the spool."""
    info = {"source": str(SourceKind.SPOOL), "value": reference, "file_name": file_name}
    return _item(source, splitting, file, info, file.size + _FILE_WEIGHT)


def _item(source: OpenDataSource, splitting: str, file: FoundFile, info: dict[str, Any], weight: int) -> Item:
    payload = {"data_source_uuid": str(source.id), "item_name": file.key}
    if file.title:
        payload["title"] = file.title
    managed = {
        "data_source": str(source.id),
        "key": file.key,
        "revision": read_as(splitting, file.revision),
        "size": file.size,
        "splitting": splitting,
    }
    return Item(document_id(source.id, file.key), payload, {**info, **managed}, weight)


def new_batches(
    source: OpenDataSource,
    splitting: str,
    found: Sequence[tuple[FoundFile, Item]],
    known: dict[str, KnownFile],
) -> list[NewBatch]:
    """What these files are to the job: those that are as they were indexed are decided, the others are to be read."""
    unchanged: list[FoundFile] = []
    changed: list[tuple[FoundFile, Item]] = []
    for file, item in found:
        stored = known.get(file.key)
        if stored is not None and stored.is_there and stored.revision == read_as(splitting, file.revision):
            unchanged.append(file)
        else:
            changed.append((file, item))
    batches: list[NewBatch] = []
    position = 0
    for start in range(0, len(unchanged), MAX_BATCH_ITEMS):
        group = unchanged[start : start + MAX_BATCH_ITEMS]
        body = _body(
            (Item(document_id(source.id, file.key), item_info={"size": file.size}) for file in group), position
        )
        outcomes = outcomes_of(ItemStatus.UNCHANGED, [known[file.key].chunks for file in group])
        batches.append(NewBatch(body, source_bytes=sum(file.size for file in group), outcomes=outcomes))
        position += len(group)
    for file, item in changed:
        batches.append(NewBatch(_body([item], position), source_bytes=file.size))
        position += 1
    return batches


def failed_page(source: OpenDataSource, splitting: str, url: str, sentence: str, *, retryable: bool) -> NewBatch:
    """A page that could not be had while its site was crawled; a retry of the job fetches it by its URL."""
    item = _item(source, splitting, FoundFile(url, 0, ""), {"source": str(SourceKind.URI), "uri": url}, 0)
    failure = Failure(
        position=0,
        stage=Stage.LOAD,
        code=FailureCode.SOURCE_UNAVAILABLE,
        sentence=sentence,
        retryable=retryable,
        object_id=item.object_id,
        item_info=item.item_info,
    )
    return NewBatch(_body([item], 0), outcomes=outcomes_of(ItemStatus.FAILED, [0]), failure=failure)


def _body(items: Iterable[Item], position: int) -> Body:
    """One batch, whatever its items hold: their JSON is small, or they are one."""
    (body,) = pack(items, RequestDigest(), DistinctIds(), is_upload=True)
    return replace(body, first_position=position)
