"""Types of fields in strict models of a vendor's answers: of the one JSON type, and left out rather than null."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, StrictStr

__all__ = ["Absent", "Moment", "Text", "Time"]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def _moment(value: object) -> object:
    assert isinstance(value, str)
    assert _TIME.fullmatch(value), f"expected RFC 3339, got {value!r}"
    return value


def _never_null(value: object) -> object:
    assert value is not None, "expected a value, or no field at all"
    return value


Absent = BeforeValidator(_never_null)
Time = Annotated[StrictStr, BeforeValidator(_moment)]
Moment = Annotated[Time | None, Absent]
Text = Annotated[StrictStr | None, Absent]
