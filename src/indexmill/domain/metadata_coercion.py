"""Coercion: a document's metadata as values of its collection's filter attributes, and what does not fit them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from indexmill.domain.filter_attributes import PART_LANGUAGE, AttributeLevel, AttributeType, FilterAttribute
from indexmill.errors import InvalidRequest

__all__ = ["MAX_LIST_LENGTH", "MAX_TEXT_BYTES", "Misfit", "Scalar", "Value", "check_fit", "coerce_metadata"]

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | list[Scalar] | None

#: Of a text that can be filtered by: what an index of PostgreSQL holds.
MAX_TEXT_BYTES = 2000
MAX_LIST_LENGTH = 1000
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_REAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_MAX_SHOWN = 60
_MAX_SENTENCES = 5
#: Python writes out no whole number of more than 4300 digits.
_MAX_BITS = 1000


class _DoesNotFit(Exception):
    """The message says what was expected."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that its attribute's type does not take: it stays in the metadata, and no filter finds it."""

    attribute: FilterAttribute
    sentence: str


def coerce_metadata(
    metadata: Mapping[str, Any] | None, attributes: Sequence[FilterAttribute]
) -> tuple[list[Value], list[Misfit]]:
    """The value of each attribute, None where there is none or where it does not fit; and what does not fit.

    Taken as INTEGER are whole numbers, also as 5.0 and "5"; as REAL, numbers, also as "0.5"; as BOOLEAN, booleans and
    "true" or "false"; as TEXT, texts, and numbers and booleans as JSON writes them. A list's elements likewise; a
    single value counts as a list of one, and null as nothing.
    """
    values: list[Value] = []
    misfits: list[Misfit] = []
    for attribute in attributes:
        raw = _find(metadata, attribute.name) if metadata else None
        try:
            values.append(None if raw is None else _coerce(raw, attribute.type))
        except _DoesNotFit as error:
            values.append(None)
            misfits.append(Misfit(attribute, f"`{attribute}`: expected {error}, got {_shown(raw)}"))
    return values, misfits


def check_fit(
    attributes: Sequence[FilterAttribute], metadata: Mapping[str, Any], parts: Sequence[Mapping[str, Any]] = ()
) -> None:
    """
    Raises:
        InvalidRequest: metadata of the document, or of one of its parts, that no filter would find.
    """
    of_document = [each for each in attributes if each.level is AttributeLevel.DOCUMENT]
    of_part = [PART_LANGUAGE, *(each for each in attributes if each.level is AttributeLevel.PART)]
    said = [each.sentence for each in coerce_metadata(metadata, of_document)[1]]
    for number, part in enumerate(parts, start=1):
        said += [f"part {number}: {each.sentence}" for each in coerce_metadata(part, of_part)[1]]
        if len(said) > _MAX_SENTENCES:
            break
    if said:
        raise InvalidRequest(f"metadata: {'; '.join(said[:_MAX_SENTENCES])}")


def _find(metadata: Mapping[str, Any], name: str) -> Any:
    """The field of this name, else what lies at the end of this path."""
    if name in metadata or "." not in name:
        return metadata.get(name)
    at: Any = metadata
    for step in name.split("."):
        at = at.get(step) if isinstance(at, Mapping) else None
    return at


def _coerce(raw: Any, type_: AttributeType) -> Value:
    coerce = _COERCIONS[type_.element]
    if not type_.is_list:
        return coerce(raw)
    elements = raw if isinstance(raw, list) else [raw]
    if len(elements) > MAX_LIST_LENGTH:
        raise _DoesNotFit(f"a list of at most {MAX_LIST_LENGTH} elements")
    return [coerce(each) for each in elements if each is not None]


def _integer(raw: Any) -> int:
    if isinstance(raw, str) and _INTEGER.fullmatch(raw.strip()):
        raw = int(raw)
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise _DoesNotFit("a whole number")
    if not _MIN_INTEGER <= raw <= _MAX_INTEGER:
        raise _DoesNotFit("a whole number of at most eight bytes")
    return raw


def _real(raw: Any) -> float:
    if isinstance(raw, str) and _REAL.fullmatch(raw.strip()):
        raw = float(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise _DoesNotFit("a number")
    try:
        value = float(raw)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise _DoesNotFit("a number of at most 1.8e308")
    return value


def _text(raw: Any) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) or (isinstance(raw, int) and raw.bit_length() <= _MAX_BITS):
        raw = repr(raw)
    if not isinstance(raw, str):
        raise _DoesNotFit("a text")
    if len(raw.encode(errors="surrogatepass")) > MAX_TEXT_BYTES:
        raise _DoesNotFit(f"a text of at most {MAX_TEXT_BYTES} bytes")
    return raw


def _boolean(raw: Any) -> bool:
    if isinstance(raw, str):
        raw = {"true": True, "false": False}.get(raw.strip().lower())
    if not isinstance(raw, bool):
        raise _DoesNotFit("true or false")
    return raw


_COERCIONS: dict[AttributeType, Callable[[Any], Scalar]] = {
    AttributeType.INTEGER: _integer,
    AttributeType.REAL: _real,
    AttributeType.TEXT: _text,
    AttributeType.BOOLEAN: _boolean,
}


def _shown(raw: Any) -> str:
    if isinstance(raw, list):
        return f"a list of {len(raw)}"
    if isinstance(raw, Mapping):
        return "an object"
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, str):
        shown = f"'{raw[:_MAX_SHOWN]}'"
        return shown if len(raw) <= _MAX_SHOWN else f"{shown} and {len(raw) - _MAX_SHOWN} characters more"
    return "a number of more than 300 digits" if isinstance(raw, int) and raw.bit_length() > _MAX_BITS else repr(raw)
