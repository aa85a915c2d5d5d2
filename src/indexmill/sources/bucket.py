"""`s3://bucket/key`: objects of an S3 store, streamed; and how buckets are opened and their errors told."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from indexmill.errors import InvalidRequest, ServiceError, SourceRefused
from indexmill.settings import S3Settings, SourceSettings
from indexmill.sources.source import (
    CHUNK_BYTES,
    Check,
    Deadline,
    FetchedSource,
    IncomingFile,
    clean_file_name,
    clean_media_type,
    go_on,
    too_large,
    unavailable,
)

if TYPE_CHECKING:
    from obstore.store import S3Credential, S3Store

__all__ = ["MISSING_EXTRA", "BucketSource", "bucket_errors", "open_bucket", "split_s3_uri"]

MISSING_EXTRA: Final = "`s3://` needs the package `obstore`: install the extra `sources` (indexmill[sources])"
_MAX_KEY_BYTES: Final = 1024
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key; a key is what it is, not percent-encoded, as everywhere with `s3://`.

    Raises:
        InvalidRequest: it is no such URI.
    """
    bucket, _, key = uri[len("s3://") :].partition("/")
    if uri[:5].lower() != "s3://" or not _BUCKET.fullmatch(bucket):
        raise InvalidRequest("S3 URI: expected s3://bucket/key, the bucket of 3 to 63 of a-z, 0-9, `.` and `-`")
    if len(key.encode("utf-8", "replace")) > _MAX_KEY_BYTES or any(each < " " or each == "\x7f" for each in key):
        raise InvalidRequest(f"S3 URI: expected a key of at most {_MAX_KEY_BYTES} bytes without control characters")
    return bucket, key


def open_bucket(settings: S3Settings, bucket: str, prefix: str | None, timeout_seconds: float) -> S3Store:
    """A store that waits no longer than that for one request, and tries it again once or twice within that time.

    Raises:
        ImportError: the extra is not installed.
    """
    from obstore.store import S3Store

    timeout = timedelta(seconds=timeout_seconds)
    return S3Store(
        bucket,
        prefix=prefix,
        config={
            **({"endpoint": settings.endpoint} if settings.endpoint else {}),
            **({"region": settings.region} if settings.region else {}),
            **({"skip_signature": True} if settings.anonymous else {}),
        },
        client_options={
            "allow_http": settings.allow_http,
            "timeout": timeout,
            "connect_timeout": min(timeout, timedelta(seconds=5)),
        },
        retry_config={"max_retries": 2, "retry_timeout": timeout},
        credential_provider=_static_credentials(settings),
    )


class _StaticCredentials:
    """The credentials of the settings: a session token in the environment belongs to others, and is not mixed in."""

    def __init__(self, access_key_id: str, secret_access_key: str) -> None:
        self._credential: S3Credential = {
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "expires_at": None,
        }

    def __call__(self) -> S3Credential:
        return self._credential


def _static_credentials(settings: S3Settings) -> _StaticCredentials | None:
    if settings.access_key_id is None or settings.secret_access_key is None or settings.anonymous:
        return None
    return _StaticCredentials(settings.access_key_id, settings.secret_access_key.get_secret_value())


@cache
def _first_process() -> int:
    """The process that used the client first. Its threads do not survive a fork: a child would hang for ever."""
    return os.getpid()


@contextmanager
def bucket_errors(what: str) -> Iterator[None]:
    """What a store may answer, in the words of this package; its own name endpoints and keys."""
    if _first_process() != os.getpid():
        raise ServiceError("The S3 client was used before this process was forked; it must be used in one of them only")
    from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except FileNotFoundError as error:
        raise unavailable(f"{what} does not exist", retryable=False) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise unavailable(
            f"{what} may not be read with the credentials of this service (`sources.s3`)", retryable=False
        ) from error
    except (InvalidPathError, ValueError) as error:
        raise unavailable(f"{what} has a name that cannot be asked for", retryable=False) from error
    except BaseError as error:
        raise unavailable(
            f"{what} could not be read: the object store did not answer as expected", retryable=True
        ) from error


class BucketSource:
    """Objects, read with this service's own credentials."""

    def __init__(self, settings: SourceSettings, folder: Path) -> None:
        self._settings = settings.s3
        self._max_bytes = settings.max_bytes
        self._timeout = settings.timeout_seconds
        self._folder = folder
        self._spool = split_s3_uri(settings.spool_url) if settings.spool_url else None

    def check(self, uri: str) -> None:
        self._parse(uri)

    def fetch(self, uri: str, check: Check = go_on) -> FetchedSource:
        import obstore

        bucket, key = self._parse(uri)
        deadline = Deadline(self._timeout, check)
        with bucket_errors("The object"), IncomingFile(self._folder, self._max_bytes) as incoming:
            answer = obstore.get(open_bucket(self._settings, bucket, None, self._timeout), key)
            if answer.meta["size"] > self._max_bytes:
                raise too_large(self._max_bytes)
            for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                deadline.remaining()
                incoming.write(chunk)
            media_type = clean_media_type(answer.attributes.get("Content-Type"))
            return incoming.keep(clean_file_name(key), media_type)

    def _parse(self, uri: str) -> tuple[str, str]:
        bucket, key = split_s3_uri(uri)
        if not key or {"", ".", ".."} & set(key.split("/")):
            raise InvalidRequest("S3 URI: expected a key whose parts between `/` are not empty, `.` or `..`")
        if self._settings.buckets and bucket not in self._settings.buckets:
            raise SourceRefused(
                f"The bucket `{bucket}` may not be read; add it to `sources.s3.buckets`", setting="sources.s3.buckets"
            )
        if self._spool is not None and bucket == self._spool[0] and key.startswith(self._spool[1].strip("/")):
            # Other people's uploads.
            raise SourceRefused("The spool of this service is not read by URI")
        if importlib.util.find_spec("obstore") is None:
            raise SourceRefused(MISSING_EXTRA)
        return bucket, key
