"""Reads one bucket of an S3 store: pages of its keys, exactly as they are, and the bytes of its objects.

Not by `obstore`: its listings fail at the first key with an empty or a `..` part, and change keys that begin with `/`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote_plus, urlsplit
from xml.etree import ElementTree

import httpcore

from indexmill.errors import TransientError
from indexmill.sources.s3_signature import S3Credentials, encoded_path, encoded_query, signed_headers

__all__ = ["MAX_KEYS", "ObjectPage", "S3Bucket", "S3Reader", "S3Refused", "StoredObject"]

#: More than this a store lists in no answer.
MAX_KEYS: Final = 1000
#: A thousand keys of a thousand bytes, every byte encoded, and what else is said of them.
_MAX_LISTING_BYTES: Final = 8 * 1024 * 1024
_MAX_ERROR_BYTES: Final = 64 * 1024
_CONNECT_SECONDS: Final = 5.0
#: Without a byte of the answer. Short of the whole time: together they stay below a window's deadline.
_READ_SECONDS: Final = 20.0
_PORTS: Final = {"http": 80, "https": 443}
_WAIT: Final = frozenset({408, 429, 500, 502, 503, 504})
_AWAY: Final = "The object store did not answer as expected"


class S3Refused(Exception):
    """The store refused. `status` and `code` as it says them, `region`: where the bucket is, where it says so."""

    def __init__(self, status: int, code: str, region: str | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.region = region


@dataclass(frozen=True)
class S3Bucket:
    """`endpoint`: http(s)://host[:port][/path], the operator's or the vendor's, never a caller's."""

    endpoint: str
    name: str
    region: str
    credentials: S3Credentials | None


@dataclass(frozen=True, slots=True)
class StoredObject:
    key: str
    size: int
    etag: str | None
    modified_at: datetime | None


@dataclass(frozen=True)
class ObjectPage:
    objects: list[StoredObject]
    is_last: bool


class S3Reader:
    """Safe to share between threads; connections are kept until `close`."""

    def __init__(
        self,
        bucket: S3Bucket,
        timeout_seconds: float,
        ssl_context: ssl.SSLContext | None = None,
        *,
        max_connections: int = 8,
    ) -> None:
        self._bucket = bucket
        parts = urlsplit(bucket.endpoint)
        port = parts.port or _PORTS[parts.scheme]
        host = parts.hostname or ""
        shown = f"[{host}]" if ":" in host else host
        self._authority = shown if port == _PORTS[parts.scheme] else f"{shown}:{port}"
        self._origin = parts.scheme.encode(), host.encode(), port
        self._base = parts.path.rstrip("/")
        self._timeouts = {
            "connect": min(_CONNECT_SECONDS, timeout_seconds),
            "read": min(_READ_SECONDS, timeout_seconds),
            "write": min(_READ_SECONDS, timeout_seconds),
            "pool": timeout_seconds,
        }
        is_encrypted = parts.scheme == "https"
        self._pool = httpcore.ConnectionPool(
            ssl_context=(ssl_context or httpcore.default_ssl_context()) if is_encrypted else None,
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=10.0,
        )

    def close(self) -> None:
        self._pool.close()

    def list(self, prefix: str, after: str | None, limit: int) -> ObjectPage:
        """At most `limit` objects, and `MAX_KEYS`, whose keys begin with `prefix` and come after `after`.

        Raises:
            S3Refused: the store says no, or what is no listing.
            TransientError: waiting helps.
        """
        query = {"list-type": "2", "encoding-type": "url", "max-keys": str(max(1, min(limit, MAX_KEYS)))}
        if prefix:
            query["prefix"] = prefix
        if after is not None:
            query["start-after"] = after
        with self._get("", query) as response:
            return _parse_listing(_read(response, _MAX_LISTING_BYTES))

    @contextmanager
    def get(self, key: str) -> Iterator[httpcore.Response]:
        """The object: its headers, and its bytes from `iter_stream`.

        Raises:
            S3Refused, TransientError: as `list`; the latter also while it is read.
        """
        with self._get(f"/{key}", {}) as response:
            yield response

    @contextmanager
    def _get(self, path: str, query: dict[str, str]) -> Iterator[httpcore.Response]:
        target = encoded_path(f"{self._base}/{self._bucket.name}{path}")
        search = encoded_query(query)
        headers = signed_headers(
            self._bucket.credentials,
            region=self._bucket.region,
            authority=self._authority,
            path=target,
            query=search,
            now=datetime.now(UTC),
        )
        scheme, host, port = self._origin
        url = httpcore.URL(
            scheme=scheme, host=host, port=port, target=f"{target}{'?' if search else ''}{search}".encode()
        )
        more = [("user-agent", "indexmill"), ("accept-encoding", "identity")]
        request = httpcore.Request("GET", url, headers=[*headers, *more], extensions={"timeout": self._timeouts})
        with _network_errors():
            # A connection that was kept may have been closed by the other side at this very moment.
            response = _tried_twice(lambda: self._pool.handle_request(request))
            try:
                if response.status != 200:
                    raise _refusal(response)
                yield response
            finally:
                response.close()


def _tried_twice(call: Callable[[], httpcore.Response]) -> httpcore.Response:
    try:
        return call()
    except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
        return call()


@contextmanager
def _network_errors() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise TransientError("The object store did not answer in time") from error
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol) as error:
        raise S3Refused(400, "InvalidURI") from error
    except httpcore.ConnectError as error:
        met = error.args[0] if error.args else None
        if isinstance(met, ssl.SSLError):
            raise S3Refused(495, "Certificate") from error
        raise TransientError("The object store could not be reached") from error
    except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
        raise TransientError("The object store broke off") from error


def _read(response: httpcore.Response, limit: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > limit:
            raise S3Refused(response.status, "TooLong")
    return bytes(body)


def _refusal(response: httpcore.Response) -> Exception:
    if response.status in _WAIT:
        return TransientError(f"{_AWAY}: {response.status}")
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    code, region = "", headers.get(b"x-amz-bucket-region")
    try:
        root = _parse_xml(_read(response, _MAX_ERROR_BYTES))
        code, region = root.findtext("Code") or "", region or root.findtext("Region")
    except (S3Refused, ElementTree.ParseError):
        # No S3 store, or nobody who wants to say more: the status is what there is.
        pass
    return S3Refused(response.status, code[:100], region)


def _parse_xml(data: bytes) -> ElementTree.Element:
    """
    Raises:
        ParseError: it is no XML, or declares entities, with which a few bytes become many.
    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ElementTree.ParseError("a document type")
    root = ElementTree.fromstring(data)  # noqa: S314 - limited in size, and without entities
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    return root


def _parse_listing(data: bytes) -> ObjectPage:
    try:
        root = _parse_xml(data)
        if root.tag != "ListBucketResult":
            raise S3Refused(200, "NoListing")
        is_encoded = root.findtext("EncodingType") == "url"
        objects = [_object(each, is_encoded=is_encoded) for each in root.iter("Contents")]
    except (ElementTree.ParseError, ValueError) as error:
        raise S3Refused(200, "NoListing") from error
    return ObjectPage(objects, root.findtext("IsTruncated") != "true")


def _object(element: ElementTree.Element, *, is_encoded: bool) -> StoredObject:
    key, modified = element.findtext("Key") or "", element.findtext("LastModified")
    return StoredObject(
        # A NUL, and what is no UTF-8, cannot be stored: such a key is shown, and found missing when it is asked for.
        unquote_plus(key, errors="replace").replace("\0", "\ufffd") if is_encoded else key,
        int(element.findtext("Size") or 0),
        (element.findtext("ETag") or "").strip('"') or None,
        datetime.fromisoformat(modified) if modified else None,
    )
