"""What is read from a web page: its main text, and what it says to crawlers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from indexmill.readers.extracted_text import Heading

__all__ = ["WebPage"]


@dataclass(frozen=True)
class WebPage:
    """`text` is Markdown, "" where there is none. Links are as they are written, relative to `base`."""

    text: str
    headings: tuple[Heading, ...] = ()
    title: str | None = None
    #: `<base href>`.
    base: str | None = None
    #: `<link rel="canonical">`.
    canonical: str | None = None
    #: Pages, without those that are marked `nofollow`.
    links: tuple[str, ...] = ()
    #: What the page embeds: pictures, objects, videos.
    media: tuple[str, ...] = ()
    #: `<meta name content>` whose names may address crawlers, the names in lower case.
    robots: tuple[tuple[str, str], ...] = ()

    def header(self) -> dict[str, Any]:
        """All but the text, as JSON values."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "text"}

    @classmethod
    def of_header(cls, header: dict[str, Any], text: str) -> WebPage:
        return cls(
            text,
            tuple(Heading(*each) for each in header["headings"]),
            header["title"],
            header["base"],
            header["canonical"],
            tuple(header["links"]),
            tuple(header["media"]),
            tuple((str(name), str(content)) for name, content in header["robots"]),
        )
