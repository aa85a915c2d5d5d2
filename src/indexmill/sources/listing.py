"""What a data source holds, a page at a time; each says where to go on, so that a listing can be resumed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

__all__ = ["LISTED_TYPES", "FoundFile", "Listing", "ListingPage", "is_listed"]

#: Endings of the files that a data source indexes; what else lies there is no file of it.
LISTED_TYPES: Final = frozenset(
    {
        *("csv", "tsv", "json", "jsonl", "xml"),
        *("txt", "md", "rst", "html", "htm", "eml"),
        *("pdf", "epub", "odt", "rtf", "doc", "docx", "xls", "xlsx", "ppt", "pptx"),
    }
)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """`key`: what names it in its source. `revision`: equal ones, equal bytes."""

    key: str
    size: int
    revision: str
    modified_at: datetime | None = None
    title: str | None = None


@dataclass(frozen=True)
class ListingPage:
    """`cursor`: where the next page begins; None: this was the last one. `ignored`: of types that nobody reads."""

    files: list[FoundFile]
    cursor: str | None
    ignored: int = 0


class Listing(Protocol):
    """The files of one data source."""

    def page(self, cursor: str | None, limit: int) -> ListingPage:
        """At most `limit` files after `cursor`, in order of their keys; None: from the beginning.

        A page may be empty and have a cursor: nothing on it was to be listed.

        Raises:
            SourceError: the source cannot be listed.
            TransientError: waiting helps.
        """


def is_listed(key: str) -> bool:
    """Whether the key's ending is one of those."""
    name = key.rpartition("/")[2]
    return "." in name and name.rpartition(".")[2].lower() in LISTED_TYPES
