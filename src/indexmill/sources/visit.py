"""What came of one visit of a crawl."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from indexmill.domain.failure import FailureCode
from indexmill.readers.extracted_text import Heading
from indexmill.sources.source import FetchedSource

__all__ = ["IgnoredCode", "Visit", "VisitOutcome"]


class VisitOutcome(StrEnum):
    #: A page with text, to be indexed under `final_url`.
    PAGE = "page"
    #: A document, to be indexed under `final_url`; the caller removes `file`.
    FILE = "file"
    #: The URL stands for another one in scope, which is among `links`.
    REDIRECT = "redirect"
    #: There is nothing to index, and nobody is to blame; `links` may lead on.
    IGNORED = "ignored"
    #: `links` only of a sitemap that is damaged.
    FAILED = "failed"


class IgnoredCode(StrEnum):
    """Why nothing is indexed. Of the base URL each of these is a failure, except for a page that leads on."""

    #: 404 or 410.
    GONE = "gone"
    #: Another 4xx: for others, or after a log-in.
    INACCESSIBLE = "inaccessible"
    #: A redirect out of the crawl.
    OUT_OF_SCOPE = "out_of_scope"
    REDIRECT_LOOP = "redirect_loop"
    #: robots.txt says so.
    DISALLOWED = "disallowed"
    #: The page says so.
    NOINDEX = "noindex"
    UNSUPPORTED_TYPE = "unsupported_type"
    NO_CONTENT = "no_content"
    #: A sitemap; `links` has what it lists.
    SITEMAP = "sitemap"


@dataclass(frozen=True)
class Visit:
    """`code`: of `IGNORED` and `FAILED`. `retry_after`: seconds, where the site says so."""

    url: str
    outcome: VisitOutcome
    #: Canonical and in scope: the page's own name for itself. Several URLs may have the same.
    final_url: str
    title: str | None = None
    #: Markdown.
    text: str = ""
    headings: tuple[Heading, ...] = ()
    #: Changes with what would be indexed: of a page a hash of title and text, of a file that of its bytes.
    revision: str = ""
    #: Bytes that came.
    size: int = 0
    file: FetchedSource | None = None
    #: Canonical, in scope, each once.
    links: tuple[str, ...] = ()
    code: IgnoredCode | FailureCode | None = None
    sentence: str | None = None
    retryable: bool = False
    retry_after: float | None = None
