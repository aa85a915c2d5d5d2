"""The strings and numbers that every door accepts: types that validate themselves and document themselves."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import StringConstraints, WithJsonSchema

__all__ = ["MAX_ID_LENGTH", "MAX_OBJECT_ID_LENGTH", "MAX_OFFSET", "Identifier", "ObjectId", "StorableText"]

MAX_ID_LENGTH: Final = 255
MAX_OBJECT_ID_LENGTH: Final = 512
#: What a 64-bit OFFSET can hold.
MAX_OFFSET: Final = 2**63 - 1

# Control characters and the two Unicode line breaks are what a log line or a header could be forged with.
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
#: PostgreSQL's text cannot hold NUL.
_NO_NUL: Final = r"^[^\x00]*$"

#: A task's, job's, model's or collection's id.
Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ID_LENGTH, pattern=_PRINTABLE),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_ID_LENGTH,
            "pattern": _PRINTABLE,
            "description": f"1 to {MAX_ID_LENGTH} printable characters.",
        }
    ),
]
ObjectId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_OBJECT_ID_LENGTH, pattern=_NO_NUL),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_OBJECT_ID_LENGTH,
            "pattern": _NO_NUL,
            "description": f"1 to {MAX_OBJECT_ID_LENGTH} characters, no NUL.",
        }
    ),
]
#: Text that is compared with what is stored.
StorableText = Annotated[str, StringConstraints(pattern=_NO_NUL)]
