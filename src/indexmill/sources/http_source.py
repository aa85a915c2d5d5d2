"""`http://` and `https://`: redirects followed by hand, every address checked, sizes and times bounded."""

from __future__ import annotations

import base64
import ssl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpcore

from indexmill.errors import InvalidRequest, ItemError, SourceRefused, TransientError
from indexmill.settings import SourceSettings
from indexmill.sources.address_policy import AddressPolicy, normal_host
from indexmill.sources.checked_network import CheckedBackend, Resolve, resolve
from indexmill.sources.source import (
    Check,
    Deadline,
    FetchedSource,
    IncomingFile,
    clean_file_name,
    clean_media_type,
    file_name_of_path,
    go_on,
    too_large,
    unavailable,
)

__all__ = ["HttpSource", "HttpUrl", "parse_url"]

_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 20.0
_MAX_URL: Final = 8192
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: Waiting helps with these: the server says so itself, or what is behind it does not answer.
_WAIT: Final = frozenset({429, 502, 503, 504})
#: May be different when somebody tries again.
_RETRYABLE: Final = frozenset({408, 425})
_INFLATED_AT_ONCE: Final = 1 << 20
_PATH_CHARACTERS: Final = "/%:@!$&'()*+,;=~?-._[]"


@dataclass(frozen=True)
class HttpUrl:
    scheme: str
    host: str
    port: int
    #: Path and query, as they are asked for.
    target: str
    #: `user:password`, where the URL has one.
    userinfo: str | None

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(uri: str) -> HttpUrl:
    """
    Raises:
        InvalidRequest: it is no http or https URL.
    """
    if len(uri) > _MAX_URL:
        raise InvalidRequest(f"URI: expected at most {_MAX_URL} characters, got {len(uri)}")
    # Parsers disagree about these, and what is checked must be what is asked for.
    if any(each <= " " or each in "\x7f\\" for each in uri):
        raise InvalidRequest("URI: expected no spaces, control characters and backslashes; percent-encode them")
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidRequest(
            "URI: expected http(s)://host[:port]/path, got a host or port that cannot be read"
        ) from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host or port == 0:
        raise InvalidRequest("URI: expected http(s)://host[:port]/path")
    target = quote(parts.path or "/", safe=_PATH_CHARACTERS)
    if parts.query:
        target += "?" + quote(parts.query, safe=_PATH_CHARACTERS)
    userinfo = parts.netloc.rpartition("@")[0] or None
    return HttpUrl(scheme, normal_host(host), port or _PORTS[scheme], target, userinfo)


class HttpSource:
    """Files on web servers. Proxies and credentials of this process's environment are not used."""

    def __init__(
        self,
        settings: SourceSettings,
        folder: Path,
        *,
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = AddressPolicy(
            allow_private=settings.allow_private_addresses, allowed_hosts=settings.allowed_hosts
        )
        self._max_bytes = settings.max_bytes
        self._max_redirects = settings.max_redirects
        self._timeout = settings.timeout_seconds
        self._folder = folder
        self._resolve = resolve
        self._given_ssl_context = ssl_context

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        # Reads the certificates of all authorities: once, and only where it is needed.
        return self._given_ssl_context or httpcore.default_ssl_context()

    def check(self, uri: str) -> None:
        url = parse_url(uri)
        self._policy.check_host(url.host, url.port)

    def fetch(self, uri: str, check: Check = go_on) -> FetchedSource:
        deadline = Deadline(self._timeout, check)
        url = parse_url(uri)
        origin, userinfo = url.origin, url.userinfo
        for _ in range(self._max_redirects + 1):
            self._policy.check_host(url.host, url.port)
            answer = self._get(url, userinfo if url.origin == origin else None, deadline)
            if isinstance(answer, FetchedSource):
                return answer
            # A redirect cannot bring credentials along, and ours do not leave their host.
            url = _parse_redirect(answer)
        raise unavailable(
            f"The source redirects more than {self._max_redirects} times; name its last address, "
            "or raise `sources.max_redirects`",
            retryable=False,
        )

    def _get(self, url: HttpUrl, userinfo: str | None, deadline: Deadline) -> FetchedSource | str:
        """The bytes, or the address that they have moved to."""
        pool = httpcore.ConnectionPool(
            ssl_context=self._ssl_context if url.scheme == "https" else None,
            max_connections=1,
            network_backend=CheckedBackend(self._policy, self._resolve, deadline),
        )
        request = httpcore.URL(
            scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=url.target.encode()
        )
        timeouts = {"connect": _CONNECT_SECONDS, "read": _READ_SECONDS, "write": _READ_SECONDS, "pool": 1.0}
        with (
            _network_errors(url.host),
            pool,
            pool.stream("GET", request, headers=_headers(url, userinfo), extensions={"timeout": timeouts}) as response,
        ):
            headers = _Headers(response.headers)
            location = headers.get("location")
            if response.status in _REDIRECTS and location:
                return urljoin(url.text, location)
            _check_status(response.status, url.host)
            return self._receive(response, headers, url)

    def _receive(self, response: httpcore.Response, headers: _Headers, url: HttpUrl) -> FetchedSource:
        announced = headers.get("content-length") or ""
        if announced.isdecimal() and int(announced) > self._max_bytes:
            raise too_large(self._max_bytes)
        with IncomingFile(self._folder, self._max_bytes) as incoming:
            for chunk in _decoded(response.iter_stream(), headers.get("content-encoding")):
                incoming.write(chunk)
            name = _disposition_name(headers.get("content-disposition")) or file_name_of_path(
                url.target.partition("?")[0]
            )
            return incoming.keep(name, clean_media_type(headers.get("content-type")))


class _Headers:
    """The first value of each header."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in headers:
            self._values.setdefault(name.decode("latin-1").lower(), _text(value).strip())

    def get(self, name: str) -> str | None:
        return self._values.get(name)


def _text(value: bytes) -> str:
    # File names come as UTF-8, whatever the standard says.
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _parse_redirect(location: str) -> HttpUrl:
    try:
        return parse_url(location)
    except InvalidRequest as error:
        raise SourceRefused("The source redirects to something that is not http or https") from error


def _headers(url: HttpUrl, userinfo: str | None) -> list[tuple[str, str]]:
    headers = [
        ("Host", url.authority),
        ("User-Agent", "indexmill"),
        ("Accept", "*/*"),
        # What is compressed may be a bomb, and a limit on the file itself is the one that can be announced.
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    if userinfo is not None:
        token = base64.b64encode(unquote(userinfo).encode()).decode()
        headers.append(("Authorization", f"Basic {token}"))
    return headers


def _check_status(status: int, host: str) -> None:
    if status in {200, 203}:
        return
    if status in _WAIT:
        raise TransientError(f"`{host}` answered {status}")
    raise unavailable(
        f"`{host}` answered {status} where 200 was expected", retryable=status >= 500 or status in _RETRYABLE
    )


def _decoded(chunks: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    """The file itself, also from servers that compress although they were asked not to."""
    kind = (encoding or "identity").strip().lower()
    if kind in {"", "identity"}:
        yield from chunks
    elif kind in {"gzip", "x-gzip", "deflate"}:
        yield from _inflated(chunks)
    else:
        raise unavailable(
            "The source is sent in an encoding that was not asked for; expected identity, gzip or deflate",
            retryable=False,
        )


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """At most a MiB at a time, so that a bomb meets the limit long before it fills the memory."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        for chunk in chunks:
            data = chunk
            while data and not inflater.eof:
                yield inflater.decompress(data, _INFLATED_AT_ONCE)
                data = inflater.unconsumed_tail
        yield inflater.flush()
    except zlib.error as error:
        raise unavailable("The source is not compressed in the way that its server says", retryable=False) from error
    if not inflater.eof:
        raise unavailable("The source ended in the middle of its compressed data", retryable=True)


def _disposition_name(value: str | None) -> str | None:
    """The file name of a `Content-Disposition`, in each of its forms."""
    if not value:
        return None
    message = Message()
    try:
        message["content-disposition"] = value
        return clean_file_name(message.get_filename())
    except (ValueError, LookupError):
        # A header that no parser takes names nothing.
        return None


@contextmanager
def _network_errors(host: str) -> Iterator[None]:
    """What the network may do, in the words of this package."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise TransientError(f"`{host}` did not answer in time") from error
    except httpcore.ConnectError as error:
        raise _not_connected(host, error) from error
    except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
        raise unavailable(f"`{host}` broke off, or did not speak HTTP", retryable=True) from error
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol) as error:
        raise unavailable(f"`{host}` cannot be asked for this URI", retryable=False) from error


def _not_connected(host: str, error: httpcore.ConnectError) -> ItemError:
    # httpcore wraps what it met, and takes the cause away on its way up.
    met = error.args[0] if error.args else None
    if isinstance(met, ssl.SSLCertVerificationError):
        return unavailable(f"The certificate of `{host}` does not prove that it is this host", retryable=False)
    if isinstance(met, ssl.SSLError):
        return unavailable(f"`{host}` and this service found no common way to encrypt", retryable=False)
    return unavailable(f"`{host}` could not be reached", retryable=True)
