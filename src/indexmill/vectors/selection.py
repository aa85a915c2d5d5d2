"""Which documents a question is about: those with these ids, whose payload holds these values, that a filter finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from indexmill.domain.attribute_filter import parse_filter
from indexmill.domain.document import canonical_json
from indexmill.domain.filter_tree import Condition
from indexmill.domain.metadata_filter import MetadataFilter
from indexmill.errors import InvalidRequest

__all__ = ["MAX_FILTER_BYTES", "MAX_IDS", "Selection", "can_be_id"]

MAX_IDS = 10_000
MAX_FILTER_BYTES = 64 * 1024
#: As deep as payloads may be.
_MAX_DEPTH = 200


@dataclass(frozen=True)
class Selection:
    """`ids`: None selects all. `equal`: each names payload fields and the values that they must hold.

    A value is equal as in JSON: 1 and 1.0 are, 1 and true are not. A list is held by one that has all its elements, an
    object by one that has all its fields. `filter`: over the collection's filter attributes. `metadata`: over what is
    known of documents (`document_metadata`).
    """

    ids: tuple[str, ...] | None = None
    equal: tuple[dict[str, Any], ...] = ()
    filter: Condition | None = None
    metadata: MetadataFilter | None = None

    @classmethod
    def of(
        cls,
        ids: Sequence[str] | None,
        equal: Sequence[dict[str, Any]],
        metadata_filter: str | None = None,
        metadata: MetadataFilter | None = None,
    ) -> Selection:
        """`metadata_filter`: as `domain.attribute_filter` reads it; None and an empty one leave nothing out.

        Raises:
            InvalidRequest: too many ids, a filter that no payload could hold, or one that cannot be read.
        """
        if ids is not None and len(ids) > MAX_IDS:
            raise InvalidRequest(f"ids: expected at most {MAX_IDS}, got {len(ids)}")
        condition = parse_filter(metadata_filter) if metadata_filter and not metadata_filter.isspace() else None
        chosen = None if ids is None else tuple(filter(can_be_id, ids))
        known = None if metadata is None or metadata.is_empty else metadata
        selection = cls(chosen, tuple(filter(None, equal)), condition, known)
        size = 0
        for each in selection.equal:
            size += _checked_size(each)
        if size > MAX_FILTER_BYTES:
            raise InvalidRequest(f"filter: expected at most {MAX_FILTER_BYTES} bytes of JSON, got {size}")
        return selection

    @property
    def is_all(self) -> bool:
        return self.ids is None and not self.equal and self.filter is None and self.metadata is None

    @property
    def values(self) -> dict[str, Any]:
        """As the queries bind it; what a filter binds depends on the collection's attributes (`filtered.py`)."""
        return {
            "ids": None if self.ids is None else list(self.ids),
            "filters": [Jsonb(each, dumps=canonical_json) for each in self.equal],
        }


def can_be_id(name: str) -> bool:
    """PostgreSQL's text holds neither NUL nor half a character: no document has such an id."""
    return "\0" not in name and not any("\ud800" <= each <= "\udfff" for each in name)


def _checked_size(equal: dict[str, Any]) -> int:
    level: list[object] = [equal]
    for _ in range(_MAX_DEPTH + 1):
        if any(isinstance(each, str) and "\0" in each for each in level):
            raise InvalidRequest("filter: expected names and values without NUL characters, got one; remove it")
        level = [inner for each in level if isinstance(each, dict | list) for inner in _inside(each)]
        if not level:
            break
    else:
        raise InvalidRequest(f"filter: expected at most {_MAX_DEPTH} levels of nesting, got more")
    try:
        return len(canonical_json(equal).encode())
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"filter: expected values that JSON can hold: {error}") from error


def _inside(value: dict[str, Any] | list[Any]) -> list[object]:
    return [*value.keys(), *value.values()] if isinstance(value, dict) else value
