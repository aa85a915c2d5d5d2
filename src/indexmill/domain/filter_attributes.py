"""Filter attributes: which fields of documents' metadata can be filtered by, and as what type their values count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from indexmill.errors import InvalidRequest

__all__ = [
    "BUILT_IN",
    "DOCUMENT_ID",
    "MAX_ATTRIBUTES",
    "MAX_NAME_LENGTH",
    "PART_LANGUAGE",
    "UNKNOWN_LANGUAGE",
    "AttributeLevel",
    "AttributeType",
    "FilterAttribute",
    "attributes_from_json",
    "attributes_to_json",
    "checked_attributes",
]

MAX_NAME_LENGTH = 64
#: Of a collection, both levels together: each is a column, and may be an index.
MAX_ATTRIBUTES = 64
_MAX_DESCRIPTION_LENGTH = 1000
#: What ISO 639-2 says of a language that nobody has determined.
UNKNOWN_LANGUAGE = "und"


class AttributeLevel(StrEnum):
    #: Of a whole document, `doc.` in filters.
    DOCUMENT = "document"
    #: Of one of its sections and the chunks in it, `part.` in filters.
    PART = "part"

    @property
    def prefix(self) -> str:
        return "doc" if self is AttributeLevel.DOCUMENT else "part"


class AttributeType(StrEnum):
    #: Eight bytes, signed.
    INTEGER = "integer"
    INTEGER_LIST = "integer_list"
    #: IEEE 754, eight bytes.
    REAL = "real"
    REAL_LIST = "real_list"
    TEXT = "text"
    TEXT_LIST = "text_list"
    BOOLEAN = "boolean"

    @property
    def is_list(self) -> bool:
        return self.value.endswith("_list")

    @property
    def element(self) -> AttributeType:
        """What a list holds; of anything else, itself."""
        return AttributeType(self.value.removesuffix("_list"))


@dataclass(frozen=True, slots=True)
class FilterAttribute:
    """`name`: the field of the metadata, or the path to it, `address.city`."""

    name: str
    level: AttributeLevel
    type: AttributeType
    indexed: bool = True
    description: str = ""

    def __str__(self) -> str:
        return f"{self.level.prefix}.{self.name}"


#: Every document has its id, every chunk the language of its part.
DOCUMENT_ID = FilterAttribute("id", AttributeLevel.DOCUMENT, AttributeType.TEXT)
PART_LANGUAGE = FilterAttribute("lang", AttributeLevel.PART, AttributeType.TEXT)
BUILT_IN = (DOCUMENT_ID, PART_LANGUAGE)


def checked_attributes(attributes: Sequence[FilterAttribute]) -> tuple[FilterAttribute, ...]:
    """The attributes of a collection, in their order.

    Raises:
        InvalidRequest: too many, a name that cannot be, is reserved, or comes twice on a level.
    """
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidRequest(f"filter attributes: expected at most {MAX_ATTRIBUTES}, got {len(attributes)}")
    for attribute in attributes:
        _check(attribute)
    counts = Counter((attribute.level, attribute.name) for attribute in attributes)
    for (level, name), count in counts.items():
        if count > 1:
            raise InvalidRequest(
                f"filter attributes: expected each name once a level, got `{level.prefix}.{name}` twice"
            )
    return tuple(attributes)


def _check(attribute: FilterAttribute) -> None:
    name = attribute.name
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise InvalidRequest(
            f"filter attributes: expected names of 1 to {MAX_NAME_LENGTH} characters, "
            f"got {len(name)} in `{name[:MAX_NAME_LENGTH]}`"
        )
    if not name.isprintable() or name != name.strip():
        raise InvalidRequest(
            f"filter attributes: expected names of printable characters without spaces at their ends, got {name!r}"
        )
    if any((attribute.level, name) == (each.level, each.name) for each in BUILT_IN):
        raise InvalidRequest(f"filter attributes: `{attribute}` is always there; choose another name")
    if len(attribute.description) > _MAX_DESCRIPTION_LENGTH:
        raise InvalidRequest(
            f"filter attributes: expected descriptions of at most {_MAX_DESCRIPTION_LENGTH} characters, "
            f"got {len(attribute.description)} for `{attribute}`"
        )


def attributes_to_json(attributes: Sequence[FilterAttribute]) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "level": each.level.value,
            "type": each.type.value,
            "indexed": each.indexed,
            "description": each.description,
        }
        for each in attributes
    ]


def attributes_from_json(stored: Sequence[Mapping[str, Any]]) -> tuple[FilterAttribute, ...]:
    return tuple(
        FilterAttribute(
            each["name"],
            AttributeLevel(each["level"]),
            AttributeType(each["type"]),
            each["indexed"],
            each["description"],
        )
        for each in stored
    )
