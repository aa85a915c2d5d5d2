"""What a crawl owes its hosts: their robots.txt, read once in a while, and a pause between requests."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

from indexmill.crawl_settings import CrawlSettings
from indexmill.errors import ItemError, TransientError
from indexmill.settings import Settings
from indexmill.sources.checked_network import Resolve, resolve
from indexmill.sources.crawl_scope import canonical_link
from indexmill.sources.http_client import HttpClient, HttpResponse, parse_url
from indexmill.sources.robots import ALLOW_ALL, MAX_ROBOTS_BYTES, RobotsRules, parse_robots
from indexmill.sources.source import Deadline

__all__ = ["Politeness", "open_client", "open_politeness"]

_T = TypeVar("_T")
_MAX_HOSTS: Final = 1000
_MAX_ROBOTS_REDIRECTS: Final = 5
_ROBOTS_SECONDS: Final = 10.0
#: How long a robots.txt is believed, and how long a site that has none to give is left alone.
_FRESH_SECONDS: Final = 3600.0
_FAILED_SECONDS: Final = 30.0
_TOKEN: Final = re.compile(r"[A-Za-z_-]+")


def open_client(settings: Settings, resolve: Resolve = resolve) -> HttpClient:
    """Requests in the name of the crawler."""
    return HttpClient(settings.sources, user_agent=_user_agent(settings.crawl), resolve=resolve)


def open_politeness(settings: Settings, resolve: Resolve = resolve) -> Politeness:
    """For all crawls of a process."""
    return Politeness(settings.crawl, open_client(settings, resolve))


def _user_agent(settings: CrawlSettings) -> str:
    # Not at the top: whoever imports the package need not look up what is installed.
    from indexmill import __version__

    return settings.user_agent or f"Indexmill/{__version__}"


@dataclass(frozen=True)
class _Known:
    """Rules, or why there are none; `until` in the clock's time."""

    rules: RobotsRules | None
    failure: ItemError | TransientError | None
    until: float


class _Recent(Generic[_T]):
    """By host, the most recent ones."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, _T] = OrderedDict()

    def get(self, key: str) -> _T | None:
        return self._values.get(key)

    def put(self, key: str, value: _T) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > _MAX_HOSTS:
            self._values.popitem(last=False)


class Politeness:
    """Shared by the crawls of one process; not for several threads at once."""

    def __init__(
        self, settings: CrawlSettings, client: HttpClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        token = _TOKEN.match(_user_agent(settings))
        self.token = token[0].lower() if token else "indexmill"
        self._robots: _Recent[_Known] = _Recent()
        self._last_request: _Recent[float] = _Recent()
        self._held_until: _Recent[float] = _Recent()

    def rules(self, url: str, deadline: Deadline) -> RobotsRules:
        """What the site of `url` allows; read again after an hour.

        Raises:
            TransientError, ItemError: its robots.txt cannot be had, so nothing may be read for now.
            SourceRefused: its address may not be contacted.
        """
        site = _site(url)
        known = self._robots.get(site)
        if known is None or known.until <= self._clock():
            known = self._ask(site, deadline)
            self._robots.put(site, known)
        if known.failure is not None:
            # Raised again and again, it would carry a longer trace each time.
            raise known.failure.with_traceback(None)
        return known.rules or ALLOW_ALL

    def has_requested(self, url: str) -> None:
        """A request to the host of `url` was made just now."""
        self._last_request.put(_host(url), self._clock())

    def hold(self, url: str, seconds: float) -> None:
        """The host of `url` asks to be left alone for so long; granted up to `crawl.max_delay_seconds`."""
        self._held_until.put(_host(url), self._clock() + min(seconds, self._settings.max_delay_seconds))

    def seconds_until(self, url: str) -> float:
        """How long to wait until the host of `url` may be asked again; 0: now."""
        host, now = _host(url), self._clock()
        last = self._last_request.get(host)
        next_at = now if last is None else last + self.delay(url)
        return max(0.0, next_at - now, (self._held_until.get(host) or now) - now)

    def delay(self, url: str) -> float:
        """The pause between two requests to the host of `url`."""
        known = self._robots.get(_site(url))
        asked = known.rules.crawl_delay if known is not None and known.rules is not None else None
        return max(self._settings.delay_seconds, min(asked or 0.0, self._settings.max_delay_seconds))

    def _ask(self, site: str, deadline: Deadline) -> _Known:
        try:
            rules = self._fetch(
                f"{site}/robots.txt", Deadline(deadline.cap(_ROBOTS_SECONDS), setting="crawl.timeout_seconds")
            )
        except (ItemError, TransientError) as error:
            return _Known(None, error, self._clock() + _FAILED_SECONDS)
        return _Known(rules, None, self._clock() + _FRESH_SECONDS)

    def _fetch(self, url: str, deadline: Deadline) -> RobotsRules:
        for _ in range(_MAX_ROBOTS_REDIRECTS + 1):
            self.has_requested(url)
            with self._client.get(parse_url(url), deadline) as response:
                if response.redirect is None:
                    return self._read(response)
                target = canonical_link(response.redirect, url)
            if target is None:
                return ALLOW_ALL
            url = target
        # Redirects without end are a file that is not there (RFC 9309, 2.3.1.2).
        return ALLOW_ALL

    def _read(self, response: HttpResponse) -> RobotsRules:
        host = response.url.host
        if response.status == 429 or response.status >= 500:
            raise TransientError(
                f"`{host}` answered {response.status} for its robots.txt; nothing of it is read until it answers"
            )
        if not 200 <= response.status < 300:
            return ALLOW_ALL
        content = bytearray()
        for chunk in response.body():
            content += chunk
            if len(content) >= MAX_ROBOTS_BYTES:
                break
        return parse_robots(bytes(content), self.token)


def _site(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
