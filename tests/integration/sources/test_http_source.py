"""Web servers on loopback: what is allowed is read within its limits, what is not is never even connected to."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError, TransientError
from indexmill.settings import SourceSettings
from indexmill.sources.address_policy import IPAddress
from indexmill.sources.uri import Sources
from tests.web_server import Answer, WebServer, answer

LOOPBACK = ipaddress.ip_address("127.0.0.1")
PUBLIC = ipaddress.ip_address("1.1.1.1")


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer({"/a.txt": answer(body=b"hello", content_type="text/plain; charset=utf-8")}) as running:
        yield running


@pytest.fixture
def other() -> Iterator[WebServer]:
    """A server that nothing allows."""
    with WebServer({"/": answer(body=b"secret")}) as running:
        yield running


@pytest.fixture
def fetcher(server: WebServer, tmp_path: Path) -> Callable[..., Sources]:
    """Sources that may read the server, with more settings."""

    def make(resolve: Any = None, **settings: Any) -> Sources:
        chosen = {"allowed_hosts": [f"127.0.0.1:{server.port}"], "max_bytes": 1000, "timeout_seconds": 10} | settings
        more = {} if resolve is None else {"resolve": resolve}
        made = Sources(SourceSettings.model_validate(chosen), tmp_path, **more)
        made.prepare()
        return made

    return make


def _fails(sources: Sources, uri: str) -> ItemError:
    with pytest.raises(ItemError) as failure:
        sources.fetch(uri)
    assert list((sources._fetched).iterdir()) == []
    return failure.value


def _resolves_to(*addresses: IPAddress) -> Callable[[str, int], list[IPAddress]]:
    return lambda host, port: list(addresses)


def test_a_file_is_read_counted_hashed_named_and_removed(fetcher: Callable[..., Sources], server: WebServer) -> None:
    with fetcher().fetch(f"{server.url}/a.txt") as fetched:
        assert fetched.path.read_bytes() == b"hello"
        assert (fetched.size, fetched.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
        assert (fetched.file_name, fetched.media_type) == ("a.txt", "text/plain")
    assert not fetched.path.exists()
    assert server.heads[0].startswith("GET /a.txt HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n" in server.heads[0]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="report.pdf"', "report.pdf"),
        ("attachment; filename*=UTF-8''%C3%BC%20a.pdf", "ü a.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="ü.pdf"', "ü.pdf"),
        ("attachment", "a%20b.txt"),
        ("inline; filename=..", "a%20b.txt"),
    ],
)
def test_the_server_names_the_file_but_no_folder(
    fetcher: Callable[..., Sources], server: WebServer, header: str, name: str
) -> None:
    path = "/x/a%2520b.txt"
    server.answers[f"{path}?q=/z"] = answer(body=b"x", content_disposition=header)
    with fetcher().fetch(f"{server.url}{path}?q=/z") as fetched:
        assert fetched.file_name == name


FORBIDDEN = ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://2130706433:{port}/"]
FORBIDDEN += ["http://0x7f.1:{port}/", "http://017700000001:{port}/", "http://[::ffff:127.0.0.1]:{port}/"]
FORBIDDEN += ["http://127.1:{port}/", "http://0.0.0.0:{port}/", "http://[::]:{port}/", "http://[::1]:{port}/"]
FORBIDDEN += ["http://169.254.169.254/", "file:///etc/passwd", "/etc/passwd", "ftp://127.0.0.1:{port}/"]


@pytest.mark.parametrize("uri", [each for each in FORBIDDEN if not each.startswith("ftp")])
def test_what_is_forbidden_is_not_contacted(fetcher: Callable[..., Sources], other: WebServer, uri: str) -> None:
    assert _fails(fetcher(), uri.format(port=other.port)).code is FailureCode.SOURCE_FORBIDDEN
    assert other.connections == 0


@pytest.mark.parametrize("uri", FORBIDDEN)
def test_a_redirect_to_what_is_forbidden_is_not_followed(
    fetcher: Callable[..., Sources], server: WebServer, other: WebServer, uri: str
) -> None:
    server.answers["/moved"] = answer("302 Found", location=uri.format(port=other.port))
    failure = _fails(fetcher(), f"{server.url}/moved")
    if uri.startswith("/"):
        # A path of the same server.
        assert failure.code is FailureCode.SOURCE_UNAVAILABLE
    else:
        assert failure.code is FailureCode.SOURCE_FORBIDDEN
    assert other.connections == 0


def test_a_name_that_resolves_to_loopback_is_not_contacted(fetcher: Callable[..., Sources], other: WebServer) -> None:
    for addresses in ([LOOPBACK], [PUBLIC, LOOPBACK], [ipaddress.ip_address("::ffff:127.0.0.1")]):
        sources = fetcher(_resolves_to(*addresses))
        sources.check_uri(f"http://innocent.example:{other.port}/")
        failure = _fails(sources, f"http://innocent.example:{other.port}/")
        assert failure.code is FailureCode.SOURCE_FORBIDDEN
    assert other.connections == 0


def test_the_system_s_own_resolver_is_checked_too(
    fetcher: Callable[..., Sources], other: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **more: real("127.0.0.1", port, **more))
    assert _fails(fetcher(), f"http://innocent.example:{other.port}/").code is FailureCode.SOURCE_FORBIDDEN
    assert other.connections == 0


def test_what_was_checked_is_what_is_connected_to(
    fetcher: Callable[..., Sources], server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the first answer is harmless, the next one is not. There is no next question."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        # 127.0.0.2 stands for the harmless address: it is what is allowed, and where the server answers.
        first = asked.count("rebinding.example") == 1
        return real({"rebinding.example": "127.0.0.2" if first else "127.0.0.1"}.get(host, host), port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with socket.create_server(("127.0.0.2", 0)) as harmless:
        port = harmless.getsockname()[1]
        harmless.settimeout(5)
        sources = fetcher(allowed_hosts=[f"127.0.0.2:{port}"], timeout_seconds=1)
        with pytest.raises((ItemError, TransientError)):
            sources.fetch(f"http://rebinding.example:{port}/")
        connection, _ = harmless.accept()
        connection.close()
    assert asked.count("rebinding.example") == 1


def test_a_resolver_that_changes_its_mind_is_checked_at_every_redirect(
    fetcher: Callable[..., Sources], server: WebServer
) -> None:
    host = f"rebinding.example:{server.port}"
    server.answers["/moved"] = answer("302 Found", location=f"http://{host}/a.txt", connection="close")
    # The server answers at both; only one of them is allowed.
    with socket.create_server(("127.0.0.2", server.port)) as harmless:
        answers = iter([[ipaddress.ip_address("127.0.0.2")], [LOOPBACK]])
        sources = fetcher(lambda host, port: next(answers), allowed_hosts=["127.0.0.2"])
        serving = threading.Thread(target=lambda: server.answer_one(harmless))
        serving.start()
        assert _fails(sources, f"http://{host}/moved").code is FailureCode.SOURCE_FORBIDDEN
        serving.join()
    assert len(server.heads) == 1
    assert server.connections == 0


def test_redirects_are_followed_up_to_a_number(fetcher: Callable[..., Sources], server: WebServer) -> None:
    for number in range(3):
        server.answers[f"/{number}"] = answer("301 Moved Permanently", b"moved", location=f"{number + 1}#x")
    server.answers["/3"] = answer(body=b"here", content_type="application/pdf")
    with fetcher(max_redirects=3).fetch(f"{server.url}/0") as fetched:
        assert (fetched.size, fetched.file_name, fetched.media_type) == (4, "3", "application/pdf")
    assert "sources.max_redirects" in str(_fails(fetcher(max_redirects=2), f"{server.url}/0"))


def test_a_redirect_loop_ends(fetcher: Callable[..., Sources], server: WebServer) -> None:
    server.answers["/loop"] = answer("307 Temporary Redirect", location="/loop")
    failure = _fails(fetcher(), f"{server.url}/loop")
    assert not failure.retryable
    assert server.connections == 6


def test_credentials_stay_with_their_host(fetcher: Callable[..., Sources], server: WebServer, other: WebServer) -> None:
    server.answers |= {
        "/same": answer("302 Found", location="/a.txt"),
        "/other": answer("302 Found", location=f"http://u:p@127.0.0.1:{other.port}/"),
    }
    sources = fetcher(allowed_hosts=["127.0.0.1"])
    host = f"http://user:pass%20word@127.0.0.1:{server.port}"
    sources.fetch(f"{host}/same").remove()
    assert all("Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n" in head for head in server.heads)
    assert len(server.heads) == 2
    sources.fetch(f"{host}/other").remove()
    assert "authorization" not in other.heads[0].lower()


def test_proxies_of_the_environment_are_not_used(
    fetcher: Callable[..., Sources], server: WebServer, other: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{other.port}")
    fetcher().fetch(f"{server.url}/a.txt").remove()
    assert other.connections == 0


@pytest.mark.parametrize(
    ("status", "retryable"),
    [*((status, False) for status in (204, 206, 304, 400, 401, 403, 404, 410)), (408, True), (500, True), (501, True)],
)
def test_a_refusal_says_its_status_and_whether_a_retry_can_help(
    fetcher: Callable[..., Sources], server: WebServer, status: int, retryable: bool
) -> None:
    server.answers["/"] = answer(f"{status} Whatever")
    failure = _fails(fetcher(), server.url)
    assert (failure.code, failure.retryable) == (FailureCode.SOURCE_UNAVAILABLE, retryable)
    assert str(status) in failure.sentence


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_asks_for_time_gets_it(fetcher: Callable[..., Sources], server: WebServer, status: int) -> None:
    server.answers["/"] = answer(f"{status} Later")
    with pytest.raises(TransientError, match=str(status)):
        fetcher().fetch(server.url)


def _without_length(body: bytes) -> Answer:
    return lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)


def _chunked(body: bytes) -> Answer:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    return lambda connection: connection.sendall(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("write", [_without_length, _chunked, lambda body: answer(body=body)])
def test_the_size_limit_is_exact_with_and_without_a_length(
    fetcher: Callable[..., Sources], server: WebServer, write: Callable[[bytes], Answer]
) -> None:
    server.answers |= {"/fits": write(b"x" * 1000), "/large": write(b"x" * 1001)}
    with fetcher().fetch(f"{server.url}/fits") as fetched:
        assert fetched.size == 1000
    assert _fails(fetcher(), f"{server.url}/large").code is FailureCode.TOO_LARGE


def test_an_announced_size_is_enough_to_refuse(fetcher: Callable[..., Sources], server: WebServer) -> None:
    server.answers["/"] = server.drip(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n")
    # To read 1001 bytes at this pace takes 50 s, and the patience for it ends before.
    assert _fails(fetcher(), server.url).code is FailureCode.TOO_LARGE


def test_what_does_not_end_meets_the_size_limit(fetcher: Callable[..., Sources], server: WebServer) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    server.answers["/"] = pour
    assert _fails(fetcher(), server.url).code is FailureCode.TOO_LARGE


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n"],
)
def test_a_server_that_drips_is_left_after_the_total_time(
    fetcher: Callable[..., Sources], server: WebServer, head: bytes
) -> None:
    server.answers["/"] = server.drip(head)
    started = time.monotonic()
    failure = _fails(fetcher(timeout_seconds=0.7), server.url)
    assert 0.6 < time.monotonic() - started < 20
    assert failure.retryable
    assert "sources.timeout_seconds" in failure.sentence


def test_a_server_that_says_nothing_is_waited_for_later(fetcher: Callable[..., Sources], server: WebServer) -> None:
    server.answers["/"] = server.silence
    with pytest.raises(TransientError, match="in time"):
        fetcher(timeout_seconds=0.5).fetch(server.url)


def test_a_resolver_that_says_nothing_is_not_waited_for(fetcher: Callable[..., Sources]) -> None:
    is_over, ended = threading.Event(), threading.Event()

    def resolve(host: str, port: int) -> list[IPAddress]:
        is_over.wait(30)
        ended.set()
        return []

    with pytest.raises(TransientError, match="looked up"):
        fetcher(resolve, timeout_seconds=0.3).fetch("http://slow.example/")
    assert not ended.is_set()
    is_over.set()
    assert ended.wait(30)


@pytest.mark.parametrize(("errno", "kind"), [(socket.EAI_AGAIN, TransientError), (socket.EAI_NONAME, ItemError)])
def test_a_name_that_does_not_resolve_fails_for_good_unless_the_resolver_is_down(
    fetcher: Callable[..., Sources], errno: int, kind: type[Exception]
) -> None:
    def resolve(host: str, port: int) -> list[IPAddress]:
        raise socket.gaierror(errno, "no")

    with pytest.raises(kind):
        fetcher(resolve).fetch("http://missing.example/")


def test_a_closed_port_a_broken_answer_and_a_cut_off_body_can_be_tried_again(
    fetcher: Callable[..., Sources], server: WebServer
) -> None:
    server.answers |= {
        "/nonsense": lambda connection: connection.sendall(b"220 smtp ready\r\n"),
        "/cut": lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
        "/nothing": lambda connection: None,
    }
    for path in ("/nonsense", "/cut", "/nothing"):
        assert _fails(fetcher(), server.url + path).retryable
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert _fails(fetcher(allowed_hosts=["127.0.0.1"]), f"http://127.0.0.1:{port}/").retryable


def test_the_next_address_is_tried_when_one_does_not_answer(fetcher: Callable[..., Sources], server: WebServer) -> None:
    unused = ipaddress.ip_address("127.0.0.3")
    sources = fetcher(_resolves_to(unused, LOOPBACK), allowed_hosts=["two.example"])
    with sources.fetch(f"http://two.example:{server.port}/a.txt") as fetched:
        assert fetched.size == 5


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_what_is_compressed_although_it_was_not_asked_for_is_read(
    fetcher: Callable[..., Sources], server: WebServer, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    packed = compress(b"hello" * 20)
    server.answers |= {
        "/": answer(body=packed, content_encoding=encoding),
        "/cut": answer(body=packed[:-5], content_encoding=encoding),
        "/broken": answer(body=b"hello", content_encoding=encoding),
    }
    with fetcher().fetch(server.url) as fetched:
        assert fetched.path.read_bytes() == b"hello" * 20
    assert "accept-encoding: identity" in server.heads[0].lower()
    assert _fails(fetcher(), f"{server.url}/cut").retryable
    assert not _fails(fetcher(), f"{server.url}/broken").retryable


def test_a_bomb_meets_the_limit(fetcher: Callable[..., Sources], server: WebServer) -> None:
    server.answers["/"] = answer(body=gzip.compress(b"\0" * 100_000_000)[:50_000], content_encoding="gzip")
    assert _fails(fetcher(max_bytes=3_000_000), server.url).code is FailureCode.TOO_LARGE


def test_an_unknown_encoding_is_refused(fetcher: Callable[..., Sources], server: WebServer) -> None:
    server.answers["/"] = answer(body=b"x", content_encoding="br")
    assert not _fails(fetcher(), server.url).retryable


# A fetch that is not wanted any more


class Stop(Exception):
    pass


@pytest.mark.parametrize("kind", ["drip", "silence", "resolver"])
def test_a_fetch_that_is_not_wanted_any_more_stops_whatever_it_waits_for(
    fetcher: Callable[..., Sources], server: WebServer, kind: str
) -> None:
    server.answers["/"] = server.silence if kind == "silence" else server.drip(b"HTTP/1.1 200 OK\r\n\r\n")
    asked = threading.Event()
    released = threading.Event()

    def resolve(host: str, port: int) -> list[IPAddress]:
        asked.set()
        released.wait(60)
        return []

    def check() -> None:
        # The server has taken the request, or the resolver the question.
        if server.heads or asked.is_set():
            raise Stop

    sources = fetcher(resolve, timeout_seconds=20)
    with pytest.raises(Stop):
        sources.fetch("http://slow.example/" if kind == "resolver" else server.url, check)
    released.set()
    assert list(sources._fetched.iterdir()) == []
