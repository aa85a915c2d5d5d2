"""A web crawl, one URL at a time: what to begin with, what a visit finds. The caller knows which URLs were seen."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from indexmill.domain.failure import FailureCode
from indexmill.errors import InvalidRequest, ItemError, SourceRefused, TransientError
from indexmill.readers.file_type import HEAD_BYTES, FileType, claimed_type, detect_head
from indexmill.readers.reader import Extractor
from indexmill.readers.web_page import WebPage
from indexmill.settings import Settings
from indexmill.sources.checked_network import Resolve, resolve
from indexmill.sources.crawl_definition import CrawlDefinition
from indexmill.sources.crawl_scope import MAX_URL, CrawlOption, CrawlScope, canonical_link
from indexmill.sources.http_client import HttpResponse, parse_url
from indexmill.sources.politeness import Politeness, open_client, open_politeness
from indexmill.sources.robots import PageDirectives, page_directives
from indexmill.sources.sitemap import MAX_SITEMAP_URLS, read_sitemap
from indexmill.sources.source import Deadline, FetchedSource, IncomingFile, file_name_of_path, private_folder, too_large
from indexmill.sources.visit import IgnoredCode, Visit, VisitOutcome

__all__ = ["Crawler"]

_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
#: Types of servers that do not know; the name decides.
_UNTOLD: Final = frozenset({"application/octet-stream", "binary/octet-stream", "application/x-download"})
_WAIT: Final = frozenset({408, 425, 429})
_MAX_RETRY_AFTER: Final = 3600.0
#: A redirect is followed at once where its host need not be waited for longer than this.
_MAX_PAUSE: Final = 1.0
#: Canonical URLs have no fragment, so that this one tells sitemaps from pages, and how deep they are.
_SITEMAP_MARK: Final = re.compile(r"#sitemap-([12])\Z")
_MAX_SITEMAP_DEPTH: Final = 2
_LOOKS_LIKE_SITEMAP: Final = re.compile(r"(?:\.xml|\.xml\.gz|\.txt|\.txt\.gz)\Z|sitemap[^/]*\Z", re.IGNORECASE)
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]{1,40})", re.IGNORECASE)


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class _ReceivedPage:
    """A page that has not been read yet, and what its headers say."""

    file: FetchedSource
    charset: str | None
    directives: PageDirectives


class Crawler:
    """The crawl of one data source. Not for several threads at once."""

    def __init__(
        self,
        definition: CrawlDefinition,
        settings: Settings,
        extractor: Extractor,
        *,
        politeness: Politeness | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        """`politeness`: of this process, so that crawls that come back need not ask again; else an own one."""
        self.definition = definition
        self.scope = CrawlScope(definition.base_url, definition.option)
        self._settings = settings
        self._extractor = extractor
        self._client = open_client(settings, resolve)
        self._politeness = politeness or open_politeness(settings, resolve)
        self._folder = settings.data_folder / "fetched"

    @property
    def max_pages(self) -> int:
        return self._settings.crawl.max_pages

    def seeds(self) -> list[str]:
        """The URLs to begin with: the base URL, or the sitemaps of its site.

        Raises:
            TransientError, ItemError, SourceRefused: a site of which nothing can be read, not even its robots.txt.
        """
        base = self.scope.base_url
        if self.definition.option is not CrawlOption.SITEMAP:
            return [base]
        if _LOOKS_LIKE_SITEMAP.search(urlsplit(base).path):
            return [_marked(base, 1)]
        rules = self._politeness.rules(base, self._deadline())
        named = self.scope.links(rules.sitemaps, base) or self.scope.links(["/sitemap.xml"], base)
        return [_marked(url, 1) for url in named if len(url) <= MAX_URL - len(_marked("", 1))]

    def seconds_until(self, url: str) -> float:
        """How long to wait before `visit(url)`, so that its host has its pause; 0: it may be visited now."""
        return self._politeness.seconds_until(url)

    def wait(self, url: str, at_most: float) -> bool:
        """Sleep until `url` may be visited, if that is no longer than `at_most` seconds; whether it may be now."""
        seconds = self.seconds_until(url)
        if seconds > at_most:
            return False
        time.sleep(seconds)
        return True

    def visit(self, url: str, *, check: Callable[[], None] = _nothing) -> Visit:
        """Fetch and read one URL of `seeds`, or of the `links` of an earlier visit; its failure is no exception.

        `check` is called several times a second while a page is read; what it raises ends the visit.
        """
        try:
            return self._visit(url, check)
        except SourceRefused as error:
            return _failed(url, FailureCode.SOURCE_FORBIDDEN, str(error))
        except InvalidRequest as error:
            return _failed(url, FailureCode.SOURCE_UNAVAILABLE, str(error))
        except TransientError as error:
            return _failed(url, FailureCode.SOURCE_UNAVAILABLE, str(error), retryable=True)
        except ItemError as error:
            return _failed(url, error.code, error.sentence, retryable=error.retryable)

    def _visit(self, url: str, check: Callable[[], None]) -> Visit:
        deadline = self._deadline()
        current, depth = _unmarked(url)
        seen = [current]
        while True:
            rules = self._politeness.rules(current, deadline)
            if not rules.allows(current) and not (depth and current in self.scope.links(rules.sitemaps, current)):
                return self._ignored(url, IgnoredCode.DISALLOWED, "The robots.txt of the site does not allow this URL")
            self._politeness.has_requested(current)
            with self._client.get(parse_url(current), deadline) as response:
                target = response.redirect
                if target is None:
                    if depth:
                        return self._sitemap(url, depth, response)
                    if current != url:
                        refused = self._refused(url, response) if self._is_seed(url) else None
                        return refused or Visit(url, VisitOutcome.REDIRECT, current, links=(current,))
                    received = self._received(url, response)
            if target is None:
                # The connection is closed: its server need not wait for what is made of the page.
                return received if isinstance(received, Visit) else self._read(url, received, deadline, check)
            following = canonical_link(target, current)
            if following is None or not self.scope.contains(following):
                return self._ignored(
                    url, IgnoredCode.OUT_OF_SCOPE, _out_of_scope(following, is_base=self._is_seed(url))
                )
            if following in seen or len(seen) > self._settings.sources.max_redirects:
                return self._ignored(url, IgnoredCode.REDIRECT_LOOP, "The URL redirects in a circle, or too many times")
            if self.seconds_until(following) > _MAX_PAUSE and not depth:
                return Visit(url, VisitOutcome.REDIRECT, following, links=(following,))
            self._pause(following, deadline)
            seen.append(following)
            current = following

    def _pause(self, url: str, deadline: Deadline) -> None:
        time.sleep(min(self.seconds_until(url), _MAX_PAUSE, deadline.remaining()))

    def _received(self, url: str, response: HttpResponse) -> Visit | _ReceivedPage:
        refused = self._refused(url, response)
        if refused is not None:
            return refused
        directives = page_directives(response.headers.all("x-robots-tag"), (), self._politeness.token)
        kind = _kind(response)
        if kind is None:
            return self._ignored(
                url, IgnoredCode.UNSUPPORTED_TYPE, f"The content is {response.media_type}, which is not read"
            )
        if kind is not FileType.HTML:
            if directives.noindex:
                return self._noindex(url, ())
            return _document(url, self._saved(response, self._settings.sources.max_bytes, "sources.max_bytes"))
        file = self._saved(response, self._settings.crawl.max_page_bytes, "crawl.max_page_bytes")
        charset = _CHARSET.search(response.headers.get("content-type") or "")
        return _ReceivedPage(file, charset[1] if charset else None, directives)

    def _read(self, url: str, received: _ReceivedPage, deadline: Deadline, check: Callable[[], None]) -> Visit:
        with received.file as file:
            if file.media_type is None and not _is_html(file):
                return self._ignored(url, IgnoredCode.UNSUPPORTED_TYPE, "The content is no page, and has no type")
            page = self._extractor.read_page(
                file.path,
                charset=received.charset,
                exclude=self.definition.exclude_tags,
                seconds=deadline.remaining(),
                check=check,
            )
            return self._page(url, page, received.directives, file.size)

    def _page(self, url: str, page: WebPage, headers: PageDirectives, size: int) -> Visit:
        metas = page_directives((), page.robots, self._politeness.token)
        base = canonical_link(page.base, url) or url if page.base else url
        follows = self.scope.option.follows_links and not (headers.nofollow or metas.nofollow)
        found = [*page.links, *_documents(page.media)] if self.definition.embed_media else page.links
        links = self.scope.links(found, base)[: self.max_pages] if follows else ()
        if headers.noindex or metas.noindex:
            return self._noindex(url, links)
        if not page.text:
            return self._ignored(
                url,
                IgnoredCode.NO_CONTENT,
                "The page holds no text; what scripts write in a browser is not seen",
                links,
            )
        own_name = canonical_link(page.canonical, base) if page.canonical else None
        final_url = own_name if own_name is not None and self.scope.contains(own_name) else url
        revision = hashlib.sha256(f"{page.title or ''}\n{page.text}".encode("utf-8", "replace")).hexdigest()
        return Visit(
            url, VisitOutcome.PAGE, final_url, page.title, page.text, page.headings, revision, size, links=links
        )

    def _sitemap(self, url: str, depth: int, response: HttpResponse) -> Visit:
        refused = self._refused(url, response)
        if refused is not None:
            return refused
        found = read_sitemap(response.body(), MAX_SITEMAP_URLS)
        base = response.url.text
        links = self.scope.links(found.pages, base)[: self.max_pages]
        if depth < _MAX_SITEMAP_DEPTH:
            links += tuple(_marked(each, depth + 1) for each in self.scope.links(found.sitemaps, base))[
                : self.max_pages
            ]
        sentence = f"A sitemap that lists {len(found.pages) + len(found.sitemaps)} URLs; to be visited: {len(links)}"
        if found.is_complete or len(links) >= self.max_pages:
            return Visit(
                url, VisitOutcome.IGNORED, _plain(url), links=links, code=IgnoredCode.SITEMAP, sentence=sentence
            )
        if links:
            sentence = "The sitemap is damaged or incomplete; what could be read of it is visited"
        else:
            sentence = "Expected a sitemap (XML or a list of URLs), got something else; name the sitemap as base URL"
        return Visit(
            url, VisitOutcome.FAILED, _plain(url), links=links, code=FailureCode.MALFORMED_FILE, sentence=sentence
        )

    def _refused(self, url: str, response: HttpResponse) -> Visit | None:
        """What an answer without content means."""
        status = response.status
        if status in {200, 203}:
            return None
        sentence = f"`{response.url.host}` answered {status} where 200 was expected"
        if status in _WAIT or status >= 500:
            seconds = _retry_after(response)
            if seconds is not None:
                self._politeness.hold(response.url.text, seconds)
            return _failed(url, FailureCode.SOURCE_UNAVAILABLE, sentence, retryable=True, retry_after=seconds)
        if status in {404, 410}:
            return self._ignored(url, IgnoredCode.GONE, sentence)
        if status in {204, 205}:
            return self._ignored(url, IgnoredCode.NO_CONTENT, sentence)
        return self._ignored(url, IgnoredCode.INACCESSIBLE, sentence)

    def _saved(self, response: HttpResponse, limit: int, setting: str) -> FetchedSource:
        if response.announced_bytes > limit:
            raise too_large(limit, setting)
        with IncomingFile(private_folder(self._folder), limit, setting=setting) as incoming:
            for chunk in response.body():
                incoming.write(chunk)
            return incoming.keep(response.file_name, response.media_type)

    def _noindex(self, url: str, links: tuple[str, ...]) -> Visit:
        return self._ignored(url, IgnoredCode.NOINDEX, "The page asks not to be indexed", links)

    def _ignored(self, url: str, code: IgnoredCode, sentence: str, links: tuple[str, ...] = ()) -> Visit:
        # A crawl that cannot begin has found out nothing: least of all that everything is gone.
        outcome = VisitOutcome.FAILED if self._is_seed(url) and not links else VisitOutcome.IGNORED
        return Visit(url, outcome, _plain(url), links=links, code=code, sentence=sentence)

    def _is_seed(self, url: str) -> bool:
        if self.definition.option is CrawlOption.SITEMAP:
            return _unmarked(url)[1] == 1
        return self.scope.is_base(url)

    def _deadline(self) -> Deadline:
        return Deadline(self._settings.crawl.timeout_seconds, setting="crawl.timeout_seconds")


def _kind(response: HttpResponse) -> FileType | None:
    """What the server says that it sends; None: nothing that is read."""
    media_type = response.media_type
    if media_type in _PAGES:
        return FileType.HTML
    if media_type is None or media_type in _UNTOLD:
        by_name = claimed_type(response.file_name, None)
        return by_name if by_name is not None or media_type is not None else FileType.HTML
    return claimed_type(None, media_type)


def _is_html(file: FetchedSource) -> bool:
    with file.path.open("rb") as opened, suppress(ItemError):
        return detect_head(opened.read(HEAD_BYTES), None, None) is FileType.HTML
    return False


def _document(url: str, file: FetchedSource) -> Visit:
    return Visit(url, VisitOutcome.FILE, url, file.file_name, revision=file.sha256, size=file.size, file=file)


def _documents(media: Iterable[str]) -> Iterator[str]:
    """Of what a page embeds, what can be read, by its name."""
    for href in media:
        name = file_name_of_path(href.partition("?")[0].partition("#")[0])
        if claimed_type(name, None) is not None:
            yield href


def _failed(
    url: str,
    code: FailureCode,
    sentence: str,
    *,
    retryable: bool = False,
    retry_after: float | None = None,
) -> Visit:
    return Visit(
        url,
        VisitOutcome.FAILED,
        _plain(url),
        code=code,
        sentence=sentence,
        retryable=retryable,
        retry_after=retry_after,
    )


def _out_of_scope(target: str | None, *, is_base: bool) -> str:
    where = f"to {target}, which is outside of this crawl" if target else "to something that cannot be crawled"
    return f"The URL redirects {where}" + ("; name its address as the base URL, or widen the option" if is_base else "")


def _retry_after(response: HttpResponse) -> float | None:
    """Seconds; dates, which few servers send, are not read."""
    written = response.headers.get("retry-after") or ""
    return min(float(written), _MAX_RETRY_AFTER) if written.isdecimal() and len(written) < 10 else None


def _marked(url: str, depth: int) -> str:
    return f"{url}#sitemap-{depth}"


def _plain(url: str) -> str:
    return _unmarked(url)[0]


def _unmarked(url: str) -> tuple[str, int]:
    """The URL, and how deep a sitemap it is; 0: it is a page."""
    mark = _SITEMAP_MARK.search(url)
    return (url[: mark.start()], int(mark[1])) if mark else (url, 0)
