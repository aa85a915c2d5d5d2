"""What a crawl may visit: URLs in one canonical form, and the scope around a base URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from indexmill.errors import InvalidRequest
from indexmill.sources.address_policy import literal_address, normal_host

__all__ = ["MAX_URL", "CrawlOption", "CrawlScope", "canonical_link", "canonical_url", "normal_escapes"]

MAX_URL: Final = 2048
#: Before percent-encoding and tracking parameters are gone.
_MAX_WRITTEN: Final = 4 * MAX_URL
_PORTS: Final = {"http": 80, "https": 443}
_IGNORED: Final = dict.fromkeys(map(ord, "\t\r\n"))
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_CHARACTERS: Final = "/%:@!$&'()*+,;=~-._"
_QUERY_CHARACTERS: Final = _PATH_CHARACTERS + "?"
#: They say where a visitor came from, never which page is shown.
_TRACKING: Final = re.compile(
    r"(?:utm_[a-z0-9_]*|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|yclid|ymclid|twclid|ttclid|igshid|mc_cid|mc_eid"
    r"|mkt_tok|li_fat_id|vero_id|oly_anon_id|oly_enc_id|_ga|_gl|_hsenc|_hsmi)"
)
#: A last segment that is a page, so that its folder is the path meant. Others with a dot may be folders: `/v1.2`.
_PAGE: Final = re.compile(r"\.(?:html?|xhtml|shtml|php|aspx?|jsp)\Z", re.IGNORECASE)


class CrawlOption(StrEnum):
    #: The base URL alone.
    SCOPED = "SCOPED"
    #: The base URL and linked pages below its path.
    PATH = "PATH"
    #: Linked pages of the same host.
    DOMAIN = "DOMAIN"
    #: Linked pages of the same host and of the hosts below it.
    SUBDOMAINS = "SUBDOMAINS"
    #: What the sitemap lists; links are not followed.
    SITEMAP = "SITEMAP"

    @property
    def follows_links(self) -> bool:
        return self in {CrawlOption.PATH, CrawlOption.DOMAIN, CrawlOption.SUBDOMAINS}


def canonical_url(text: str) -> str:
    """The one form of an http(s) URL: without fragment, tracking parameters, default port, dot segments and
    needless percent-encoding. A trailing slash stays as it is.

    Raises:
        InvalidRequest: no such URL, one with credentials, or one of more than 2,048 characters.
    """
    written = text.strip().translate(_IGNORED)
    if len(written) > _MAX_WRITTEN:
        raise _too_long()
    # Parsers disagree about these, and what is checked must be what is asked for.
    if "\\" in written or any(each < " " or each == "\x7f" for each in written):
        raise InvalidRequest("URL: expected no control characters and backslashes; percent-encode them")
    try:
        parts = urlsplit(written)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidRequest("URL: expected http(s)://host/path, got a host or port that cannot be read") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host or port == 0:
        raise InvalidRequest("URL: expected http://host/path or https://host/path")
    if "@" in parts.netloc:
        raise InvalidRequest("URL: expected no user and password; a crawl reads public pages")
    path = _without_dots(normal_escapes(parts.path, _PATH_CHARACTERS)) or "/"
    query = _query(normal_escapes(parts.query, _QUERY_CHARACTERS))
    url = f"{scheme}://{_host(host)}{_port(scheme, port)}{path}{query}"
    if len(url) > MAX_URL:
        raise _too_long()
    return url


def canonical_link(href: str, base: str) -> str | None:
    """What a page at `base` means by `href`; None where that is nothing that can be crawled."""
    if len(href) > _MAX_WRITTEN:
        return None
    try:
        return canonical_url(urljoin(base, href.strip().translate(_IGNORED)))
    except (InvalidRequest, ValueError):
        return None


class CrawlScope:
    """Which canonical URLs belong to a crawl.

    http and https are one site, and so are a host and its `www.`; another port is another site.

    Raises:
        InvalidRequest: the base is no URL that can be crawled.
    """

    def __init__(self, base_url: str, option: CrawlOption) -> None:
        self.base_url = canonical_url(base_url)
        self.option = option
        self._host, self._port, self._path = _place(self.base_url)
        self._is_address = literal_address(self._host) is not None
        self._folder = _folder(urlsplit(self.base_url).path)

    def is_base(self, url: str) -> bool:
        """Whether `url` is the base URL itself, by http or https, with `www.` or without."""
        return _place(url) == _place(self.base_url)

    def contains(self, url: str) -> bool:
        """`url`: canonical."""
        host, port, path = _place(url)
        if port != self._port or not self._has_host(host):
            return False
        if self.option is CrawlOption.SCOPED:
            return path == self._path
        if self.option is CrawlOption.PATH:
            # The query of the base names one page, not the path.
            below = path.partition("?")[0]
            return path == self._path or below == self._folder.rstrip("/") or below.startswith(self._folder)
        return True

    def links(self, found: Iterable[str], base: str) -> tuple[str, ...]:
        """Those of the links of a page at `base` that are in scope: canonical, in their order, each once."""
        canonical = (canonical_link(href, base) for href in found)
        return tuple(dict.fromkeys(url for url in canonical if url is not None and self.contains(url)))

    def _has_host(self, host: str) -> bool:
        if host == self._host:
            return True
        wide = self.option in {CrawlOption.SUBDOMAINS, CrawlOption.SITEMAP}
        return wide and not self._is_address and host.endswith(f".{self._host}")


def _place(url: str) -> tuple[str, int | None, str]:
    """Host without `www.`, port where it is not the default, path with query."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return (parts.hostname or "").removeprefix("www."), parts.port, parts.path + query


def _folder(path: str) -> str:
    """What the paths of a `PATH` crawl begin with: `/docs` and `/docs/` hold `/docs/a`, `/docs/index.html` does too."""
    if path.endswith("/"):
        return path
    return path.rpartition("/")[0] + "/" if _PAGE.search(path) else f"{path}/"


def _host(host: str) -> str:
    name = normal_host(host)
    address = literal_address(name)
    text = name if address is None else str(address)
    return f"[{text}]" if ":" in text else text


def _port(scheme: str, port: int | None) -> str:
    return "" if port is None or port == _PORTS[scheme] else f":{port}"


def normal_escapes(text: str, allowed: str = _QUERY_CHARACTERS) -> str:
    """Escapes in upper case, none for unreserved characters, and one for everything that is not allowed."""

    def normal(escape: re.Match[str]) -> str:
        if escape[1] is None:
            return "%25"
        character = chr(int(escape[1], 16))
        return character if character in _UNRESERVED else f"%{escape[1].upper()}"

    return quote(_ESCAPE.sub(normal, text), safe=allowed, errors="replace")


def _without_dots(path: str) -> str:
    """As RFC 3986 (5.2.4) removes `.` and `..`; nothing is above the root."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    kept = [each for each in query.split("&") if each and not _TRACKING.fullmatch(each.partition("=")[0].lower())]
    return "?" + "&".join(kept) if kept else ""


def _too_long() -> InvalidRequest:
    return InvalidRequest(f"URL: expected at most {MAX_URL} characters; shorten it")
