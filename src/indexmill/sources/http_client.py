"""One HTTP request at a time: the address checked, nothing followed, the body decoded piece by piece, times bounded."""

from __future__ import annotations

import base64
import ssl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from typing import Final
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpcore

from indexmill.errors import InvalidRequest, ItemError, TransientError
from indexmill.settings import SourceSettings
from indexmill.sources.address_policy import AddressPolicy, normal_host
from indexmill.sources.checked_network import CheckedBackend, Resolve, resolve
from indexmill.sources.source import (
    Deadline,
    clean_file_name,
    clean_media_type,
    file_name_of_path,
    unavailable,
)

__all__ = ["Headers", "HttpClient", "HttpResponse", "HttpUrl", "check_status", "parse_url"]

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


class Headers:
    """The headers of an answer, by their names in lower case."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in headers:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(_text(value).strip())

    def get(self, name: str) -> str | None:
        """The first of them."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])


class HttpResponse:
    """An answer whose body has not been read."""

    def __init__(self, response: httpcore.Response, url: HttpUrl) -> None:
        self._response = response
        self.url = url
        self.status: int = response.status
        self.headers = Headers(response.headers)

    @property
    def redirect(self) -> str | None:
        """The absolute address that it points to, as it was written; None: it is no redirect."""
        location = self.headers.get("location")
        return _joined(self.url.text, location) if self.status in _REDIRECTS and location else None

    @property
    def announced_bytes(self) -> int:
        """As the server says; 0 where it says nothing."""
        announced = self.headers.get("content-length") or ""
        return int(announced) if announced.isdecimal() and len(announced) < 20 else 0

    @property
    def file_name(self) -> str | None:
        return _disposition_name(self.headers.get("content-disposition")) or file_name_of_path(
            self.url.target.partition("?")[0]
        )

    @property
    def media_type(self) -> str | None:
        return clean_media_type(self.headers.get("content-type"))

    def body(self) -> Iterator[bytes]:
        """Decompressed, at most a MiB at a time; without end, if the server wants it so."""
        return _decoded(self._response.iter_stream(), self.headers.get("content-encoding"))


class HttpClient:
    """Requests to addresses that the settings allow. Proxies and credentials of the environment are not used."""

    def __init__(
        self,
        settings: SourceSettings,
        *,
        user_agent: str = "indexmill",
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.policy = AddressPolicy(
            allow_private=settings.allow_private_addresses, allowed_hosts=settings.allowed_hosts
        )
        self._user_agent = user_agent
        self._resolve = resolve
        self._given_ssl_context = ssl_context

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        # Reads the certificates of all authorities: once, and only where it is needed.
        return self._given_ssl_context or httpcore.default_ssl_context()

    @contextmanager
    def get(self, url: HttpUrl, deadline: Deadline, *, userinfo: str | None = None) -> Iterator[HttpResponse]:
        """The answer, whatever its status; redirects are not followed.

        Raises:
            SourceRefused: the address may not be contacted.
            ItemError, TransientError: there is no answer, or it breaks off while it is read.
        """
        self.policy.check_host(url.host, url.port)
        pool = httpcore.ConnectionPool(
            ssl_context=self._ssl_context if url.scheme == "https" else None,
            max_connections=1,
            network_backend=CheckedBackend(self.policy, self._resolve, deadline),
        )
        request = httpcore.URL(
            scheme=url.scheme.encode(), host=url.host.encode(), port=url.port, target=url.target.encode()
        )
        timeouts = {"connect": _CONNECT_SECONDS, "read": _READ_SECONDS, "write": _READ_SECONDS, "pool": 1.0}
        headers = _headers(url, userinfo, self._user_agent)
        with (
            _network_errors(url.host),
            pool,
            pool.stream("GET", request, headers=headers, extensions={"timeout": timeouts}) as response,
        ):
            yield HttpResponse(response, url)


def _text(value: bytes) -> str:
    # File names come as UTF-8, whatever the standard says.
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        # Left as it is: whoever parses it says what is wrong.
        return location


def _headers(url: HttpUrl, userinfo: str | None, user_agent: str) -> list[tuple[str, str]]:
    headers = [
        ("Host", url.authority),
        ("User-Agent", user_agent),
        ("Accept", "*/*"),
        # What is compressed may be a bomb, and a limit on the file itself is the one that can be announced.
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    if userinfo is not None:
        token = base64.b64encode(unquote(userinfo).encode()).decode()
        headers.append(("Authorization", f"Basic {token}"))
    return headers


def check_status(status: int, host: str) -> None:
    """
    Raises:
        TransientError: waiting helps.
        ItemError: it is no answer with content.
    """
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
