"""Buckets as data sources: their files below a path, listed a page at a time and fetched one by one.

Which host is asked is the operator's choice alone: a data source says a bucket, a path and the name of a region.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from indexmill.domain.knowledge_base import DataSourceKind
from indexmill.errors import InvalidRequest, ItemError, SourceError
from indexmill.settings import REGION, Settings, SourceSettings
from indexmill.sources.bucket import split_s3_uri
from indexmill.sources.listing import FoundFile, ListingPage, is_listed
from indexmill.sources.s3_reader import MAX_KEYS, S3Bucket, S3Reader, S3Refused, StoredObject
from indexmill.sources.s3_signature import S3Credentials
from indexmill.sources.source import (
    Check,
    Deadline,
    FetchedSource,
    IncomingFile,
    clean_file_name,
    clean_media_type,
    go_on,
    private_folder,
    too_large,
    unavailable,
)

__all__ = ["DataSourceBucket", "open_data_source_bucket"]

_MAX_KEY_BYTES: Final = 1024
_DEFAULT_REGION: Final = "us-east-1"
#: Fit for a header, whoever gave them.
_KEY_ID: Final = re.compile(r"[!-~]{1,256}")
_WRONG_REGION: Final = frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"})


class DataSourceBucket:
    """The objects of one bucket below one path. Safe to share between threads; `close` it."""

    def __init__(self, reader: S3Reader, item_path: str, settings: SourceSettings, folder: Path) -> None:
        """`item_path`: one object, or the folder whose objects are meant; empty: the whole bucket."""
        self._reader = reader
        self._item_path = item_path
        self._max_bytes = settings.max_bytes
        self._timeout = settings.timeout_seconds
        self._folder = folder

    def __enter__(self) -> DataSourceBucket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()

    def page(self, cursor: str | None, limit: int) -> ListingPage:
        """As `Listing.page`, for a `limit` of up to 1,000; the cursor is the last key that was seen."""
        path = self._item_path
        with _source_errors():
            if not path or path.endswith("/"):
                return self._page(path, cursor, limit)
            if cursor is None:
                # Keys that merely begin like the path come right after it, and are not meant.
                first = self._reader.list(path, None, 1).objects
                if first and first[0].key == path:
                    return _listed(first, cursor=path)
            return self._page(f"{path}/", None if cursor == path else cursor, limit)

    def fetch(self, key: str, check: Check = go_on) -> FetchedSource:
        """The object's bytes, in a file that the `with` block of the answer removes.

        Raises:
            ItemError: they cannot be had (`source_unavailable`, `too_large`).
            TransientError: waiting helps.
        """
        _check_key(key)
        private_folder(self._folder)
        deadline = Deadline(self._timeout, check)
        with _object_errors(), self._reader.get(key) as answer, IncomingFile(self._folder, self._max_bytes) as incoming:
            headers = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
            announced = headers.get(b"content-length", "")
            if announced.isdecimal() and int(announced) > self._max_bytes:
                raise too_large(self._max_bytes)
            for chunk in answer.iter_stream():
                deadline.remaining()
                incoming.write(chunk)
            return incoming.keep(clean_file_name(key), clean_media_type(headers.get(b"content-type")))

    def _page(self, prefix: str, after: str | None, limit: int) -> ListingPage:
        found = self._reader.list(prefix, after, min(limit, MAX_KEYS))
        if found.is_last:
            return _listed(found.objects, cursor=None)
        if not found.objects or found.objects[-1].key == after:
            raise SourceError(
                "listing_failed", "The object store lists the same objects again and again (it heeds no `start-after`)"
            )
        return _listed(found.objects, cursor=found.objects[-1].key)


def open_data_source_bucket(
    kind: DataSourceKind, settings: Mapping[str, Any], secrets: Mapping[str, str], app: Settings
) -> DataSourceBucket:
    """The bucket of a data source of the kinds `spaces` and `aws`; contacts nobody.

    Args:
        settings: `bucket_name`, and perhaps `item_path` and `region`.
        secrets: `key_id` and `secret_key`, for `aws`; without both the bucket is asked for without any.

    Raises:
        SourceError: these settings name nothing that may be read.
    """
    name, path = _text(settings, "bucket_name"), _text(settings, "item_path").lstrip("/")
    region = _text(settings, "region")
    try:
        split_s3_uri(f"s3://{name}/")
    except InvalidRequest as error:
        raise _invalid("bucket_name: expected 3 to 63 of a-z, 0-9, `.` and `-`") from error
    if not _is_utf8(path) or len(path.encode()) > _MAX_KEY_BYTES or "\0" in path:
        raise _invalid(f"item_path: expected at most {_MAX_KEY_BYTES} bytes of UTF-8")
    if region and not re.fullmatch(REGION, region):
        raise _invalid("region: expected the name of a region, of a-z, 0-9 and `-`")
    _check_spool(name, path, app.sources)
    if kind is DataSourceKind.SPACES:
        bucket = _spaces_bucket(name, region, app.sources)
    elif kind is DataSourceKind.AWS:
        bucket = _aws_bucket(name, region, secrets, app.sources)
    else:
        raise _invalid(f"expected a data source of the kind `spaces` or `aws`, got `{kind}`")
    reader = S3Reader(bucket, app.sources.timeout_seconds, max_connections=max(8, app.sources.parallel_fetches))
    return DataSourceBucket(reader, path, app.sources, app.data_folder / "fetched")


def _spaces_bucket(name: str, region: str, sources: SourceSettings) -> S3Bucket:
    """Read with this service's own credentials, so the operator says which buckets may be."""
    s3 = sources.s3
    if s3.buckets and name not in s3.buckets:
        raise SourceError("bucket_not_allowed", f"The bucket `{name}` may not be read; add it to `sources.s3.buckets`")
    # The pattern for every region is for names that are given.
    pattern = sources.regions.get("*") if region else None
    endpoint = sources.regions.get(region) or (pattern or "").replace("{region}", region) or s3.endpoint
    if not endpoint:
        where = f"`sources.regions.{region}` or " if region else ""
        raise SourceError("region_not_configured", f"No endpoint is configured; set {where}`sources.s3.endpoint`")
    return S3Bucket(endpoint, name, s3.region or region or _DEFAULT_REGION, _own_credentials(sources))


def _own_credentials(sources: SourceSettings) -> S3Credentials | None:
    s3 = sources.s3
    if s3.anonymous:
        return None
    if s3.access_key_id is not None and s3.secret_access_key is not None:
        return S3Credentials(s3.access_key_id, s3.secret_access_key.get_secret_value())
    key_id, secret_key = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret_key:
        raise SourceError(
            "credentials_missing",
            "This service has no credentials for buckets; set `sources.s3.access_key_id` and "
            "`sources.s3.secret_access_key`, or `sources.s3.anonymous`",
        )
    return S3Credentials(key_id, secret_key, os.environ.get("AWS_SESSION_TOKEN") or None)


def _aws_bucket(name: str, region: str, secrets: Mapping[str, str], sources: SourceSettings) -> S3Bucket:
    """Read with the data source's own credentials, which say what may be."""
    key_id, secret_key = _text(secrets, "key_id"), _text(secrets, "secret_key")
    if bool(key_id) != bool(secret_key):
        raise _invalid("expected both `key_id` and `secret_key`, or none of them, got one")
    if key_id and not (_KEY_ID.fullmatch(key_id) and _is_utf8(secret_key)):
        raise _invalid("key_id, secret_key: expected them as the object store gave them")
    region = region or sources.s3.region or _DEFAULT_REGION
    china = ".cn" if region.startswith("cn-") else ""
    endpoint = sources.s3.endpoint or f"https://s3.{region}.amazonaws.com{china}"
    return S3Bucket(endpoint, name, region, S3Credentials(key_id, secret_key) if key_id else None)


def _check_spool(name: str, path: str, sources: SourceSettings) -> None:
    """Other people's uploads are no data source."""
    if not sources.spool_url:
        return
    bucket, prefix = split_s3_uri(sources.spool_url)
    mine, asked = f"{prefix.strip('/')}/".lstrip("/"), f"{path.rstrip('/')}/".lstrip("/")
    if name == bucket and (mine.startswith(asked) or asked.startswith(mine)):
        raise SourceError("bucket_not_allowed", "The spool of this service is not read as a data source")


def _check_key(key: str) -> None:
    if not key or not _is_utf8(key) or len(key.encode()) > _MAX_KEY_BYTES or "\0" in key:
        raise unavailable(f"Expected a key of 1 to {_MAX_KEY_BYTES} bytes of UTF-8", retryable=False)
    if {".", ".."} & set(key.split("/")):
        # On its way somebody may take it for another object's.
        raise unavailable("The object has a part `.` or `..` in its key; give it another key", retryable=False)


def _listed(objects: list[StoredObject], cursor: str | None) -> ListingPage:
    files: list[FoundFile] = []
    ignored = 0
    for each in objects:
        if is_listed(each.key):
            files.append(FoundFile(each.key, each.size, _revision(each), each.modified_at))
        elif each.size or not each.key.endswith("/"):
            # The others are folders that a browser of buckets has made.
            ignored += 1
    return ListingPage(files, cursor, ignored)


def _revision(found: StoredObject) -> str:
    """By what changes with the bytes. The time changes when an object is merely copied over itself."""
    changed = found.etag or (found.modified_at.isoformat() if found.modified_at else "")
    return f"{changed}/{found.size}"


@contextmanager
def _source_errors() -> Iterator[None]:
    try:
        yield
    except S3Refused as error:
        code, sentence = _refusal(error)
        raise SourceError(code, sentence) from error


@contextmanager
def _object_errors() -> Iterator[None]:
    try:
        yield
    except S3Refused as error:
        raise _object_error(error) from error


def _object_error(error: S3Refused) -> ItemError:
    if error.code == "InvalidObjectState":
        return unavailable("The object is archived; restore it first", retryable=False)
    if error.status == 404 and error.code != "NoSuchBucket":
        return unavailable("The object does not exist any more", retryable=True)
    return unavailable(_refusal(error)[1], retryable=False)


def _refusal(error: S3Refused) -> tuple[str, str]:
    """A code and a sentence; what the store itself says may name keys and hosts."""
    if error.code == "NoSuchBucket" or (error.status == 404 and not error.code):
        return "bucket_not_found", "The bucket does not exist"
    if error.code in _WRONG_REGION or error.status in {301, 302, 307, 308}:
        right = error.region if error.region and re.fullmatch(REGION, error.region) else None
        return "wrong_region", "The bucket is in another region" + (f": `{right}`" if right else "; name its region")
    if error.code == "RequestTimeTooSkewed":
        return "listing_failed", "The object store says that this service's clock is wrong"
    if error.status in {401, 403}:
        return "access_denied", "The object store refused the credentials, or they may not list or read this bucket"
    if error.code == "Certificate":
        return "listing_failed", "The certificate of the object store does not prove that it is this host"
    if error.code == "NoListing":
        return "listing_failed", "The object store answered something that is no listing"
    return "listing_failed", f"The object store refused the request ({error.status})"


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{name}: expected a string")
    return value or ""


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid(sentence: str) -> SourceError:
    return SourceError("invalid_settings", sentence)
