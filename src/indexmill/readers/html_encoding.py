"""The encoding of an HTML page: its byte order mark, its bytes, what its server says, what it says itself."""

from __future__ import annotations

import codecs
import re
from typing import Final

from indexmill.readers.encoding import encoding_of
from indexmill.readers.file_type import HEAD_BYTES

__all__ = ["html_text"]

_DECLARED: Final = re.compile(rb"<meta[^>]{0,200}charset=[\"']?\s*([a-zA-Z0-9_:-]{1,40})", re.IGNORECASE)
_DECLARED_WITHIN: Final = 4096
#: Codecs of Python that are no encodings of pages; some take time that grows with the square of the page.
_NO_ENCODINGS: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})


def html_text(page: bytes, charset: str | None = None) -> str:
    """The page decoded. `charset`: what came with it, which may be wrong: what is valid UTF-8 is UTF-8."""
    guess = encoding_of(page[:HEAD_BYTES]) or "utf-8"
    declared = _DECLARED.search(page[:_DECLARED_WITHIN])
    named = [charset, declared[1].decode("ascii") if declared is not None else None]
    if not guess.startswith("utf") or (guess == "utf-8" and page[:HEAD_BYTES].isascii()):
        # What has come here is no UTF-16, whatever it says.
        known = (_codec(each) for each in named if each)
        guess = next((each for each in known if each and not each.startswith(("utf-16", "utf-32"))), guess)
    return page.decode(guess, "replace")


def _codec(name: str) -> str | None:
    """As Python calls it; None where it is no encoding of texts."""
    try:
        found = codecs.lookup(name.strip(" '\""))
        b"a".decode(found.name, "replace")
    except (LookupError, UnicodeError, ValueError):
        return None
    # Browsers read what calls itself Latin-1 as its larger brother.
    name = "cp1252" if found.name in {"iso8859-1", "ascii"} else found.name
    return None if name in _NO_ENCODINGS else name
