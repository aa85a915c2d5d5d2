"""What sites say to crawlers: robots.txt (RFC 9309), `X-Robots-Tag` and `<meta name="robots">`.

Written here, because the parsers that there are know no wildcards, or match them in a time that a site can choose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from indexmill.sources.crawl_scope import normal_escapes

__all__ = ["ALLOW_ALL", "MAX_ROBOTS_BYTES", "PageDirectives", "RobotsRules", "page_directives", "parse_robots"]

#: So much of a file is read, the rest does not count (RFC 9309, 2.5).
MAX_ROBOTS_BYTES: Final = 500 * 1024
_MAX_SITEMAPS: Final = 100
_MAX_DELAY: Final = 86_400.0
_TOKEN: Final = re.compile(r"[a-z_-]+")
_LINE_ENDS: Final = re.compile(r"\r\n|\r|\n")
_FIELDS: Final = {"useragent": "user-agent", "site-map": "sitemap"}
#: `X-Robots-Tag: max-snippet: 5` addresses no crawler of that name.
_WITH_VALUE: Final = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


@dataclass(frozen=True)
class _Rule:
    """`pieces`: the pattern between its wildcards."""

    allows: bool
    length: int
    pieces: tuple[str, ...]
    is_whole: bool

    @classmethod
    def of(cls, allows: bool, written: str) -> _Rule:
        pattern = normal_escapes(written, "/%:@!$&'()*+,;=~-._?")
        pattern = pattern if pattern.startswith(("/", "*")) else f"/{pattern}"
        is_whole = pattern.endswith("$")
        return cls(allows, len(pattern), tuple(pattern.removesuffix("$").split("*")), is_whole)

    def matches(self, target: str) -> bool:
        """The leftmost place of each piece is as good as any, so nothing is tried twice."""
        first, *others = self.pieces
        if not target.startswith(first):
            return False
        if not others:
            return not self.is_whole or target == first
        *middle, last = others
        at = len(first)
        for piece in middle:
            found = target.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        if self.is_whole:
            return len(target) - len(last) >= at and target.endswith(last)
        return target.find(last, at) >= 0


@dataclass(frozen=True)
class RobotsRules:
    """The rules of one site for one crawler."""

    rules: tuple[_Rule, ...] = ()
    crawl_delay: float | None = None
    #: As they are written.
    sitemaps: tuple[str, ...] = ()

    def allows(self, url: str) -> bool:
        """`url`: canonical. The longest rule decides, of equally long ones the one that allows."""
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        if parts.path == "/robots.txt":
            return True
        best = max(
            (rule for rule in self.rules if rule.matches(target)),
            key=lambda rule: (rule.length, rule.allows),
            default=None,
        )
        return best is None or best.allows


ALLOW_ALL: Final = RobotsRules()


def parse_robots(content: bytes, token: str) -> RobotsRules:
    """The rules for the crawler `token` (its product name): of all groups that name it, else of those for `*`."""
    text = content[:MAX_ROBOTS_BYTES].decode("utf-8-sig", "replace")
    own, others = _Group(), _Group()
    sitemaps: list[str] = []
    named: list[str] = []
    is_open = False
    for field, value in _fields(text):
        if field == "user-agent":
            named = [*named, value.lower()] if is_open else [value.lower()]
            is_open = True
        elif field == "sitemap":
            sitemaps += [value] if value and len(sitemaps) < _MAX_SITEMAPS else []
        elif field in {"allow", "disallow", "crawl-delay"}:
            is_open = False
            if any(_names(each, token.lower()) for each in named):
                own.add(field, value)
            if "*" in named:
                others.add(field, value)
        if field == "user-agent" and _names(named[-1], token.lower()):
            # Also a group without any rule keeps those for everybody away.
            own.is_there = True
    chosen = own if own.is_there else others
    return RobotsRules(tuple(chosen.rules), chosen.crawl_delay, tuple(sitemaps))


class _Group:
    def __init__(self) -> None:
        self.is_there = False
        self.rules: list[_Rule] = []
        self.crawl_delay: float | None = None

    def add(self, field: str, value: str) -> None:
        if field == "crawl-delay":
            self.crawl_delay = _seconds(value) if self.crawl_delay is None else self.crawl_delay
        elif value:
            self.rules.append(_Rule.of(field == "allow", value))


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in _LINE_ENDS.split(text):
        field, colon, value = line.partition("#")[0].partition(":")
        if colon:
            name = field.strip().lower().replace(" ", "-")
            yield _FIELDS.get(name, name), value.strip()


def _names(agent: str, token: str) -> bool:
    found = _TOKEN.match(agent)
    return found is not None and found[0] == token


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    # Not a number is not smaller than anything either.
    return seconds if 0 <= seconds <= _MAX_DELAY else None


@dataclass(frozen=True)
class PageDirectives:
    noindex: bool = False
    nofollow: bool = False


def page_directives(headers: Iterable[str], metas: Iterable[tuple[str, str]], token: str) -> PageDirectives:
    """What one page says: in `X-Robots-Tag` headers, and in `<meta name content>`, names in lower case."""
    words: set[str] = set()
    for header in headers:
        words |= _words(_addressed(header.lower(), token.lower()))
    for name, content in metas:
        if name in {"robots", token.lower()}:
            words |= _words(content.lower())
    return PageDirectives(bool(words & {"noindex", "none"}), bool(words & {"nofollow", "none"}))


def _addressed(header: str, token: str) -> str:
    """The directives of a header, "" where they are for another crawler."""
    agent, colon, rest = header.partition(":")
    agent = agent.strip()
    if not colon or "," in agent or agent in _WITH_VALUE:
        return header
    return rest if agent == token else ""


def _words(directives: str) -> set[str]:
    return {each.strip() for each in directives.split(",")}
