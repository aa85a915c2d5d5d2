"""Links begin with the public address, else with the one that was asked; nothing else in a `Host` gets into them."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from indexmill.errors import SettingsError
from indexmill.http.links import link_maker
from indexmill.http.problems import ProblemError
from indexmill.settings import load_settings

PATH, QUERY = "/v2/gen-ai/uploads/ä b?#", "size=5&signature=a-b"
TAIL = "/v2/gen-ai/uploads/%C3%A4%20b%3F%23?size=5&signature=a-b"


def _request(host: str | None, scheme: str = "http") -> Request:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    scope = {"type": "http", "method": "GET", "scheme": scheme, "path": "/", "query_string": b"", "headers": headers}
    return Request({**scope, "server": ("10.0.0.1", 8080)})


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "[::1]:8080", "my_host.example", "10.0.0.7:80"])
def test_they_begin_with_what_was_asked(host: str) -> None:
    assert link_maker(None)(_request(host), PATH, QUERY) == f"http://{host}{TAIL}"
    assert link_maker(None)(_request(host, "https"), "/a", "") == f"https://{host}/a"


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example/path",
        "evil.example?",
        "evil.example#",
        "user@evil.example",
        "evil.example:80:80",
        "evil.example:x",
        "evil.example\\a",
        "evil.example a",
        "evil.example\n",
        "localhost\r\nX-A: b",
        "ev\xefl.example",
        "[::1",
    ],
)
def test_what_is_no_host_gets_no_link(host: str | None) -> None:
    with pytest.raises(ProblemError) as refused:
        link_maker(None)(_request(host), PATH, QUERY)
    assert refused.value.problem.status == 400
    assert "evil" not in refused.value.problem.message
    # With an address of its own the service does not look at it.
    assert link_maker("https://index.example.org")(_request(host), "/a", "") == "https://index.example.org/a"


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://index.example.org", "https://index.example.org"),
        ("https://index.example.org/", "https://index.example.org"),
        ("http://10.0.0.7:8080/deep/er/", "http://10.0.0.7:8080/deep/er"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_the_public_address_is_a_setting(given: str, base: str) -> None:
    settings = load_settings(server={"public_url": given})
    link = link_maker(settings.server.public_url)
    assert link(_request("evil.example"), PATH, QUERY) == f"{base}{TAIL}"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "index.example.org",
        "ftp://index.example.org",
        "https://",
        "https:///path",
        "https://user:secret@index.example.org",
        "https://index.example.org:0",
        "https://index.example.org:99999",
        "https://index.example.org/?a=b",
        "https://index.example.org/#a",
        "https://index.example.org/a b",
        "https://index.example.org\n",
        "https://[::1",
    ],
)
def test_what_is_no_address_stops_the_start(given: str) -> None:
    with pytest.raises(SettingsError, match=r"server\.public_url: expected http") as refused:
        load_settings(server={"public_url": given})
    assert "secret" not in str(refused.value)
