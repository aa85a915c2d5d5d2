"""Where an item's content lies when it is not in its payload, as `item_info` says it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError

__all__ = ["ItemSource", "SourceKind", "has_source", "is_fixed", "source_of"]


class SourceKind(StrEnum):
    #: A URI, a bucket's object or a local path: its bytes may change while the item stays the same.
    URI = "uri"
    #: Bytes that were uploaded, under the hash of the bytes.
    SPOOL = "spool"
    #: Text that came with the request.
    TEXT = "text"


#: What callers may name; the other kinds are made by front doors that take uploads.
_OF_CALLERS: Final = "`uri`, `s3` or `file`"


@dataclass(frozen=True)
class ItemSource:
    """`value`: the URI or path, the reference into the spool, or the text. `file_name` names a type."""

    kind: SourceKind
    value: str
    file_name: str | None = None
    media_type: str | None = None


def has_source(item_info_json: bytes | None) -> bool:
    """Whether the item's content lies elsewhere; parses only what may."""
    return item_info_json is not None and b'"source":' in item_info_json and "source" in json.loads(item_info_json)


def is_fixed(item_info_json: bytes | None) -> bool:
    """Whether equal `item_info` means equal content: always, but for sources whose bytes may change."""
    if not has_source(item_info_json):
        return True
    return json.loads(item_info_json or b"{}")["source"] in (SourceKind.SPOOL, SourceKind.TEXT)


def source_of(item_info: dict[str, Any], *, is_upload: bool) -> ItemSource:
    """The source that `item_info` names. `is_upload`: a front door made it, so it may be text or lie in the spool.

    Raises:
        ItemError: it names none that can be read.
    """
    source = item_info["source"]
    name, media_type = _text(item_info, "file_name"), _text(item_info, "media_type")
    if is_upload and source in (SourceKind.SPOOL, SourceKind.TEXT):
        return ItemSource(SourceKind(source), item_info["value"], name, media_type)
    if source == "uri":
        return ItemSource(SourceKind.URI, _required(item_info, "uri"), name, media_type)
    if source == "s3":
        uri = f"s3://{_required(item_info, 'bucket')}/{_required(item_info, 'file').lstrip('/')}"
        return ItemSource(SourceKind.URI, uri, name, media_type)
    if source == "file":
        return ItemSource(SourceKind.URI, f"file://{_required(item_info, 'path')}", name, media_type)
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
