"""Where an item's content lies when it is not in its payload, as `item_info` says it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.job import JobKind
from indexmill.errors import ItemError

__all__ = ["ItemSource", "SourceKind", "has_source", "is_fixed", "own_splitting", "reported_item_info", "source_of"]


class SourceKind(StrEnum):
    #: A URI, a bucket's object or a local path: its bytes may change while the item stays the same.
    URI = "uri"
    #: Bytes that were uploaded, under the hash of the bytes.
    SPOOL = "spool"
    #: Text that came with the request.
    TEXT = "text"
    #: Text in parts, each with metadata of its own, that came with the request.
    PARTS = "parts"
    #: A file of a data source.
    DATA_SOURCE = "data_source"


#: What callers may name; the other kinds are made by front doors that take uploads.
_OF_CALLERS: Final = "`uri`, `s3` or `file`"
_OF_UPLOADS: Final = (SourceKind.SPOOL, SourceKind.TEXT, SourceKind.PARTS)


@dataclass(frozen=True)
class ItemSource:
    """`value`: the URI or path, the reference into the spool, the text, or the key in the data source.

    `file_name` names a type. `data_source`: its id.
    """

    kind: SourceKind
    value: str
    file_name: str | None = None
    media_type: str | None = None
    data_source: str = ""
    #: Of a document in parts, as `domain.given_parts` keeps them.
    parts: dict[str, Any] = field(default_factory=dict)


def has_source(item_info_json: bytes | None) -> bool:
    """Whether the item's content lies elsewhere; parses only what may."""
    return _with_source(item_info_json) is not None


def _with_source(item_info_json: bytes | None) -> dict[str, Any] | None:
    """The parsed `item_info` that names a source; None for any other. It may hold a whole text: parsed once."""
    if item_info_json is None or b'"source":' not in item_info_json:
        return None
    item_info: dict[str, Any] = json.loads(item_info_json)
    return item_info if "source" in item_info else None


def is_fixed(item_info_json: bytes | None, *, is_upload: bool) -> bool:
    """Whether equal `item_info` means equal content: always, but for sources whose bytes may change.

    `is_upload`: as for `source_of`; what it refuses is not fixed, so that nobody takes it for what is stored.
    """
    item_info = _with_source(item_info_json)
    if item_info is None:
        return True
    if item_info["source"] == "uri":
        return (_text(item_info, "uri") or "")[:5].lower() == "data:"
    return is_upload and item_info["source"] in _OF_UPLOADS


def reported_item_info(item_info: dict[str, Any] | None) -> dict[str, Any] | None:
    """Of an upload, what its report may repeat: not the content, nor where it lies."""
    if item_info is None or item_info.get("source") not in _OF_UPLOADS:
        return item_info
    return {name: value for name, value in item_info.items() if name != "value"}


def own_splitting(kind: JobKind, item_info_json: bytes | None) -> str | None:
    """How this item becomes chunks, as its data source wants it; None: as its collection says.

    Only the items of indexing jobs say so: nobody but this service writes their `item_info`.
    """
    if kind is not JobKind.INDEXING or item_info_json is None:
        return None
    splitting: str | None = json.loads(item_info_json).get("splitting")
    return splitting


def source_of(item_info: dict[str, Any], *, is_upload: bool) -> ItemSource:
    """The source that `item_info` names. `is_upload`: a front door made it, so it may be text or lie in the spool.

    Raises:
        ItemError: it names none that can be read.
    """
    source = item_info["source"]
    name, media_type = _text(item_info, "file_name"), _text(item_info, "media_type")
    if is_upload and source == SourceKind.PARTS:
        return ItemSource(SourceKind.PARTS, "", name, media_type, parts=item_info["value"])
    if is_upload and source in _OF_UPLOADS:
        return ItemSource(SourceKind(source), item_info["value"], name, media_type)
    if is_upload and source == SourceKind.DATA_SOURCE:
        return ItemSource(SourceKind.DATA_SOURCE, item_info["key"], name, media_type, item_info["data_source"])
    if source == "uri":
        return ItemSource(SourceKind.URI, _required(item_info, "uri"), name, media_type)
    if source == "s3":
        uri = f"s3://{_required(item_info, 'bucket')}/{_required(item_info, 'file').lstrip('/')}"
        return ItemSource(SourceKind.URI, uri, name, media_type)
    if source == "file":
        path = _required(item_info, "path")
        # A path is not a URI: `#`, `%` and `:` are parts of its names.
        uri = f"file://{quote(path)}" if path.startswith("/") else f"./{path}"
        return ItemSource(SourceKind.URI, uri, name, media_type)
    raise _unusable(f"`item_info.source`: expected {_OF_CALLERS}, got {source!r:.80}")


def _text(item_info: dict[str, Any], key: str) -> str | None:
    value = item_info.get(key)
    return value if isinstance(value, str) and value else None


def _required(item_info: dict[str, Any], key: str) -> str:
    value = _text(item_info, key)
    if value is None:
        raise _unusable(
            f"`item_info.{key}`: expected a string, because `item_info.source` is {item_info['source']!r}, "
            f"got {item_info.get(key)!r:.80}"
        )
    return value


def _unusable(sentence: str) -> ItemError:
    return ItemError(Stage.LOAD, FailureCode.SOURCE_UNAVAILABLE, sentence, retryable=False)
