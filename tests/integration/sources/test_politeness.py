"""robots.txt as sites serve it, and the pauses between requests."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest

from indexmill.crawl_settings import CrawlSettings
from indexmill.errors import ItemError, SourceRefused, TransientError
from indexmill.settings import SourceSettings, load_settings
from indexmill.sources.http_client import HttpClient
from indexmill.sources.politeness import Politeness, open_client
from indexmill.sources.robots import MAX_ROBOTS_BYTES
from indexmill.sources.source import Deadline
from tests.web_server import WebServer, answer


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _politeness(server: WebServer, clock: Clock, **settings: Any) -> Politeness:
    chosen = load_settings(sources={"allowed_hosts": [f"127.0.0.1:{server.port}"]}, crawl=settings)
    return Politeness(chosen.crawl, open_client(chosen), clock=clock)


def _allows(politeness: Politeness, server: WebServer, path: str = "/a") -> bool:
    url = server.url + path
    return politeness.rules(url, Deadline(10)).allows(url)


def _robots(text: str) -> Any:
    return answer(body=text.encode(), content_type="text/plain")


def test_robots_txt_is_read_once_an_hour(server: WebServer, clock: Clock) -> None:
    server.answers["/robots.txt"] = _robots("User-agent: *\nDisallow: /a")
    politeness = _politeness(server, clock)
    assert not _allows(politeness, server)
    assert _allows(politeness, server, "/b")
    assert len(server.heads) == 1
    assert "User-Agent: Indexmill/" in server.heads[0]
    server.answers["/robots.txt"] = _robots("")
    clock.now += 3601
    assert _allows(politeness, server)
    assert len(server.heads) == 2


def test_it_is_asked_for_and_obeyed_by_the_configured_name(server: WebServer, clock: Clock) -> None:
    server.answers["/robots.txt"] = _robots("User-agent: marshbot\nDisallow: /a\nUser-agent: *\nDisallow:")
    assert _allows(_politeness(server, clock), server)
    assert not _allows(_politeness(server, clock, user_agent="MarshBot/2 (+https://marsh.example)"), server)
    assert "User-Agent: MarshBot/2 (+https://marsh.example)\r\n" in server.heads[-1]


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone"]
)
def test_a_site_without_one_allows_everything(server: WebServer, clock: Clock, status: str) -> None:
    server.answers["/robots.txt"] = answer(status, b"User-agent: *\nDisallow: /")
    assert _allows(_politeness(server, clock), server)


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests"])
def test_a_site_that_cannot_say_is_left_alone_for_a_while(server: WebServer, clock: Clock, status: str) -> None:
    server.answers["/robots.txt"] = answer(status)
    politeness = _politeness(server, clock)
    for _ in range(3):
        with pytest.raises(TransientError, match=r"robots\.txt"):
            _allows(politeness, server)
    assert len(server.heads) == 1
    server.answers["/robots.txt"] = _robots("")
    clock.now += 31
    assert _allows(politeness, server)


def test_a_server_that_breaks_off_allows_nothing_for_now(server: WebServer, clock: Clock) -> None:
    server.answers["/robots.txt"] = lambda connection: connection.close()
    with pytest.raises(ItemError) as failure:
        _allows(_politeness(server, clock), server)
    assert failure.value.retryable


def test_redirects_are_followed_five_times(server: WebServer, clock: Clock) -> None:
    server.answers["/rules/5"] = _robots("User-agent: *\nDisallow: /a")
    server.answers["/robots.txt"] = answer("301 Moved Permanently", location="/rules/1")
    for number in range(1, 5):
        server.answers[f"/rules/{number}"] = answer("302 Found", location=f"/rules/{number + 1}")
    assert not _allows(_politeness(server, clock), server)
    server.answers["/rules/5"] = answer("302 Found", location="/rules/1")
    assert _allows(_politeness(server, clock), server)


def test_a_redirect_to_a_forbidden_address_is_not_followed(server: WebServer, clock: Clock) -> None:
    with WebServer({"/": answer()}) as other:
        server.answers["/robots.txt"] = answer("302 Found", location=f"{other.url}/")
        with pytest.raises(SourceRefused):
            _allows(_politeness(server, clock), server)
        assert other.connections == 0


def test_a_file_without_end_is_read_up_to_the_limit(server: WebServer, clock: Clock) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\nUser-agent: *\nDisallow: /a\n".ljust(MAX_ROBOTS_BYTES + 100, b"#")
    server.answers["/robots.txt"] = server.drip(head)
    assert not _allows(_politeness(server, clock), server)


def test_pauses(server: WebServer, clock: Clock) -> None:
    politeness = _politeness(server, clock, delay_seconds=2, max_delay_seconds=20)
    url, other = f"{server.url}/a", "http://elsewhere.example/"
    assert politeness.seconds_until(url) == 0
    politeness.has_requested(url)
    assert politeness.seconds_until(f"{server.url}/b") == 2
    clock.now += 1.5
    assert politeness.seconds_until(url) == 0.5
    assert politeness.seconds_until(other) == 0
    clock.now += 5
    assert politeness.seconds_until(url) == 0


@pytest.mark.parametrize(("asked", "granted"), [("0.5", 2), ("7", 7), ("1000", 20), ("soon", 2)])
def test_a_site_may_ask_for_longer_pauses_within_reason(
    server: WebServer, clock: Clock, asked: str, granted: float
) -> None:
    server.answers["/robots.txt"] = _robots(f"User-agent: *\nCrawl-delay: {asked}")
    politeness = _politeness(server, clock, delay_seconds=2, max_delay_seconds=20)
    assert _allows(politeness, server)
    assert politeness.seconds_until(f"{server.url}/a") == granted


def test_a_host_that_asks_for_it_is_left_alone_within_reason(server: WebServer, clock: Clock) -> None:
    politeness = _politeness(server, clock, delay_seconds=2, max_delay_seconds=20)
    url = f"{server.url}/a"
    politeness.hold(url, 7)
    assert politeness.seconds_until(url) == 7
    politeness.hold(url, 3600)
    assert politeness.seconds_until(url) == 20
    clock.now += 19
    politeness.has_requested(url)
    assert politeness.seconds_until(url) == 2


def test_hosts_are_not_remembered_without_end(clock: Clock) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[Any]:
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1")]

    politeness = Politeness(CrawlSettings(), HttpClient(SourceSettings(), resolve=resolve), clock=clock)
    for number in range(1100):
        politeness.has_requested(f"http://h{number}.example/")
    assert politeness.seconds_until("http://h1099.example/") > 0
    assert politeness.seconds_until("http://h0.example/") == 0
    assert asked == []
