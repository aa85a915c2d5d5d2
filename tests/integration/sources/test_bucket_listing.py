"""Buckets as data sources against a real S3 server: every key once, in order, and errors in words."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from indexmill.domain.failure import FailureCode
from indexmill.domain.knowledge_base import DataSourceKind
from indexmill.errors import ItemError, SourceError, TransientError
from indexmill.settings import Settings, SourceSettings
from indexmill.sources.bucket_listing import DataSourceBucket, open_data_source_bucket
from indexmill.sources.listing import FoundFile
from tests.s3_server import S3Server
from tests.web_server import WebServer, answer

ODD = ["a//b.txt", "/a.txt", "ü 50%.txt", "a+b&c=d?e#f.txt", "鶴/灯台.md", "x" * 1020 + ".txt", "a\tb.txt", "<&>.txt"]
LISTING = "/documents?encoding-type=url&list-type=2&max-keys=1000"
KEYS = {"key_id": "test", "secret_key": "very secret"}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as running:
        for name in ("documents", "odd", "paths", "many"):
            running.client().create_bucket(Bucket=name)
        for key in ODD:
            running.client().put_object(Bucket="odd", Key=key, Body=key.encode())
        for key in ("docs", "docs.txt", "docs/", "docs/a.txt", "docs/b.exe", "docs/c.PDF", "docs/d/e.md", "docs2/f.md"):
            running.client().put_object(Bucket="paths", Key=key, Body=b"" if key.endswith("/") else b"x")
        running.client().put_object(Bucket="paths", Key="docs.txt/g.txt", Body=b"xy")
        running.client().put_object(Bucket="paths", Key="docs.txt2.txt", Body=b"xy")
        yield running


def _open(
    s3: S3Server, folder: Path, bucket: str, path: str | None = None, *, limit: int = 2000, **s3_settings: Any
) -> DataSourceBucket:
    sources = SourceSettings(s3=s3.settings(**s3_settings), max_bytes=limit, timeout_seconds=5)
    named = {"bucket_name": bucket, "item_path": path, "region": ""}
    return open_data_source_bucket(DataSourceKind.SPACES, named, {}, Settings(data_folder=folder, sources=sources))


def _all(bucket: DataSourceBucket, limit: int = 1000) -> tuple[list[FoundFile], int]:
    files: list[FoundFile] = []
    ignored, cursor = 0, None
    with bucket:
        while True:
            page = bucket.page(cursor, limit)
            files += page.files
            ignored += page.ignored
            assert len(page.files) <= limit
            if page.cursor is None:
                return files, ignored
            cursor = page.cursor


def _keys(bucket: DataSourceBucket, limit: int = 1000) -> list[str]:
    return [each.key for each in _all(bucket, limit)[0]]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_every_key_is_listed_once_in_order_and_read_as_it_is(s3: S3Server, tmp_path: Path, limit: int) -> None:
    with _open(s3, tmp_path, "odd") as bucket:
        assert _keys(bucket, limit) == sorted(ODD)
        for key in ODD:
            with bucket.fetch(key) as fetched:
                assert fetched.path.read_bytes() == key.encode()
                assert (fetched.size, fetched.sha256) == (len(key.encode()), hashlib.sha256(key.encode()).hexdigest())
    assert list((tmp_path / "fetched").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "keys", "ignored"),
    [
        # `docs` and `docs/b.exe` are of no type that is read, `docs/` is nothing.
        ("docs", ["docs/a.txt", "docs/c.PDF", "docs/d/e.md"], 2),
        ("/docs/", ["docs/a.txt", "docs/c.PDF", "docs/d/e.md"], 1),
        ("docs/a.txt", ["docs/a.txt"], 0),
        ("docs.txt", ["docs.txt", "docs.txt/g.txt"], 0),
        ("doc", [], 0),
        ("docs/d", ["docs/d/e.md"], 0),
        ("nowhere", [], 0),
    ],
)
def test_a_path_is_one_object_or_what_is_below_it(
    s3: S3Server, tmp_path: Path, path: str, keys: list[str], ignored: int
) -> None:
    for limit in (1, 1000):
        files, counted = _all(_open(s3, tmp_path, "paths", path), limit)
        assert ([each.key for each in files], counted) == (keys, ignored)


def test_a_revision_is_that_of_the_bytes(s3: S3Server, tmp_path: Path) -> None:
    def revisions() -> list[str]:
        return [each.revision for each in _all(_open(s3, tmp_path, "documents", "revised.txt"))[0]]

    s3.client().put_object(Bucket="documents", Key="revised.txt", Body=b"one")
    first = revisions()
    s3.client().put_object(Bucket="documents", Key="revised.txt", Body=b"one")
    assert revisions() == first
    s3.client().put_object(Bucket="documents", Key="revised.txt", Body=b"two")
    assert revisions() != first
    s3.client().delete_object(Bucket="documents", Key="revised.txt")
    assert revisions() == []


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.sets(
        st.text(st.characters(exclude_categories=["C"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=12),
        min_size=1,
        max_size=12,
    ),
    limit=st.integers(1, 5),
)
def test_any_keys(s3: S3Server, tmp_path: Path, words: set[str], limit: int) -> None:
    client = s3.client()
    keys = {f"{word}.txt" for word in words if not {".", ".."} & set(f"{word}.txt".split("/"))}
    for old in client.list_objects_v2(Bucket="many").get("Contents", []):
        client.delete_object(Bucket="many", Key=old["Key"])
    for key in keys:
        client.put_object(Bucket="many", Key=key, Body=b"x")
    assert _keys(_open(s3, tmp_path, "many"), limit) == sorted(keys)


def test_a_listing_goes_on_where_it_was_although_objects_come_and_go(s3: S3Server, tmp_path: Path) -> None:
    client = s3.client()
    for number in range(6):
        client.put_object(Bucket="documents", Key=f"going/{number}.txt", Body=b"x")
    with _open(s3, tmp_path, "documents", "going") as bucket:
        first = bucket.page(None, 3)
    assert first.cursor == "going/2.txt"
    for number in (1, 2, 4):
        client.delete_object(Bucket="documents", Key=f"going/{number}.txt")
    with _open(s3, tmp_path, "documents", "going") as another:
        assert [each.key for each in another.page(first.cursor, 3).files] == ["going/3.txt", "going/5.txt"]


def _failure(bucket: DataSourceBucket) -> tuple[str, str]:
    with bucket, pytest.raises(SourceError) as failure:
        bucket.page(None, 1000)
    assert "secret" not in failure.value.sentence
    assert "127.0.0.1" not in failure.value.sentence
    return failure.value.code, failure.value.sentence


def test_a_bucket_that_is_not_there_is_said_in_words(s3: S3Server, tmp_path: Path) -> None:
    assert _failure(_open(s3, tmp_path, "nowhere"))[0] == "bucket_not_found"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        ("403 Forbidden", b"<Error><Code>SignatureDoesNotMatch</Code><Key>secret</Key></Error>", "access_denied"),
        ("401 Unauthorized", b"", "access_denied"),
        ("301 Moved", b"<Error><Code>PermanentRedirect</Code><Region>eu-1</Region></Error>", "wrong_region"),
        (
            "400 Bad Request",
            b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-1</Region></Error>",
            "wrong_region",
        ),
        ("400 Bad Request", b"secret", "listing_failed"),
        ("200 OK", b"<html>secret</html>", "listing_failed"),
        ("200 OK", b"secret", "listing_failed"),
        ("200 OK", b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult/>', "listing_failed"),
        ("200 OK", b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "listing_failed"),
        ("404 Not Found", b"", "bucket_not_found"),
    ],
)
def test_a_store_that_refuses_fails_with_a_code_and_its_words_stay_here(
    s3: S3Server, tmp_path: Path, status: str, body: bytes, code: str
) -> None:
    with WebServer({LISTING: answer(status, body)}) as store:
        found, sentence = _failure(_open(s3, tmp_path, "documents", endpoint=store.url))
        assert found == code
        if b"eu-1" in body:
            assert "`eu-1`" in sentence


def test_a_store_that_lists_the_same_for_ever_is_left(s3: S3Server, tmp_path: Path) -> None:
    body = b"<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a.txt</Key></Contents></ListBucketResult>"
    again = LISTING + "&start-after=a.txt"
    with WebServer({LISTING: answer(body=body), again: answer(body=body)}) as store:
        bucket = _open(s3, tmp_path, "documents", endpoint=store.url)
        page = bucket.page(None, 1000)
        assert (page.cursor, page.files[0].revision) == ("a.txt", "/0")
        with bucket, pytest.raises(SourceError, match="again"):
            bucket.page(page.cursor, 1000)


def test_a_store_that_is_away_is_waited_for(s3: S3Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = _open(s3, tmp_path, "documents", endpoint=f"http://127.0.0.1:{port}")
    with WebServer({LISTING: answer("503 Slow Down"), "/documents/a": answer("500 Error")}) as store:
        for bucket in (away, _open(s3, tmp_path, "documents", endpoint=store.url)):
            with bucket, pytest.raises(TransientError):
                bucket.page(None, 1000)
            with pytest.raises(TransientError):
                bucket.fetch("a")


def test_an_object_that_breaks_off_is_tried_again_and_leaves_nothing(s3: S3Server, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
    with (
        WebServer({"/documents/a": lambda connection: connection.sendall(head)}) as store,
        _open(s3, tmp_path, "documents", endpoint=store.url) as bucket,
        pytest.raises(TransientError),
    ):
        bucket.fetch("a")
    assert list((tmp_path / "fetched").iterdir()) == []


def test_what_cannot_be_fetched_fails_in_words(s3: S3Server, tmp_path: Path) -> None:
    s3.client().put_object(Bucket="documents", Key="large.txt", Body=b"x" * 2001)
    with _open(s3, tmp_path, "documents") as bucket:
        for key in ("a/../b", "./a", "", "x" * 1025, "a\0b", "\ud800"):
            with pytest.raises(ItemError) as refused:
                bucket.fetch(key)
            assert (refused.value.code, refused.value.retryable) == (FailureCode.SOURCE_UNAVAILABLE, False)
        with pytest.raises(ItemError, match="does not exist"):
            bucket.fetch("missing.txt")
        with pytest.raises(ItemError) as large:
            bucket.fetch("large.txt")
    assert large.value.code is FailureCode.TOO_LARGE
    assert list((tmp_path / "fetched").iterdir()) == []


def test_the_store_checks_signatures_made_with_the_data_source_s_own_keys(s3: S3Server, tmp_path: Path) -> None:
    app = Settings(data_folder=tmp_path, sources=SourceSettings(s3=s3.settings(access_key_id="ours")))
    with WebServer({LISTING: answer(body=b"<ListBucketResult/>")}) as store:
        sources = SourceSettings(s3=s3.settings(endpoint=store.url))
        app = Settings(data_folder=tmp_path, sources=sources)
        named = {"bucket_name": "documents", "region": "eu-1"}
        with open_data_source_bucket(DataSourceKind.AWS, named, KEYS, app) as bucket:
            assert bucket.page(None, 1000).files == []
        with open_data_source_bucket(DataSourceKind.AWS, named, {}, app) as bucket:
            bucket.page(None, 1000)
    assert "Credential=test/" in store.heads[0]
    assert "/eu-1/s3/aws4_request" in store.heads[0]
    assert "very secret" not in store.heads[0]
    assert "authorization" not in store.heads[1].lower()


@pytest.mark.parametrize(
    ("kind", "named", "secrets", "code"),
    [
        ("spaces", {"bucket_name": "Bucket!"}, {}, "invalid_settings"),
        ("spaces", {"bucket_name": "a@evil.example"}, {}, "invalid_settings"),
        ("spaces", {"bucket_name": 5}, {}, "invalid_settings"),
        ("spaces", {}, {}, "invalid_settings"),
        ("spaces", {"bucket_name": "open", "region": "evil.example/"}, {}, "invalid_settings"),
        ("spaces", {"bucket_name": "open", "item_path": "x" * 1025}, {}, "invalid_settings"),
        ("spaces", {"bucket_name": "open", "item_path": "\ud800"}, {}, "invalid_settings"),
        ("spaces", {"bucket_name": "closed"}, {}, "bucket_not_allowed"),
        ("spaces", {"bucket_name": "open"}, {}, "region_not_configured"),
        ("spaces", {"bucket_name": "open", "region": "mars"}, {}, "region_not_configured"),
        ("aws", {"bucket_name": "spool"}, KEYS, "bucket_not_allowed"),
        ("aws", {"bucket_name": "spool", "item_path": "deep/in/objects"}, KEYS, "bucket_not_allowed"),
        ("aws", {"bucket_name": "spool", "item_path": "/deep"}, KEYS, "bucket_not_allowed"),
        ("aws", {"bucket_name": "any"}, {"key_id": "one"}, "invalid_settings"),
        ("aws", {"bucket_name": "any"}, {"key_id": "a\r\nb", "secret_key": "c"}, "invalid_settings"),
        ("web_crawler", {"bucket_name": "any"}, {}, "invalid_settings"),
    ],
)
def test_what_names_nothing_that_may_be_read_is_refused_without_asking_anybody(
    tmp_path: Path, kind: str, named: dict[str, Any], secrets: dict[str, str], code: str
) -> None:
    sources = SourceSettings.model_validate(
        {
            "s3": {"access_key_id": "a", "secret_access_key": "b", "buckets": ["open"]},
            "regions": {"nyc3": "https://nyc3.example"},
            "spool_url": "s3://spool/deep/in",
        }
    )
    app = Settings(data_folder=tmp_path, sources=sources)
    with pytest.raises(SourceError) as refused:
        open_data_source_bucket(DataSourceKind(kind), named, secrets, app)
    assert refused.value.code == code


def test_the_neighbours_of_the_spool_may_be_read(tmp_path: Path) -> None:
    app = Settings(data_folder=tmp_path, sources=SourceSettings(spool_url="s3://spool/deep/in"))
    for path in ("deep/i", "deep/inner", "docs"):
        open_data_source_bucket(DataSourceKind.AWS, {"bucket_name": "spool", "item_path": path}, KEYS, app).close()


def test_without_credentials_a_space_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    app = Settings(
        data_folder=tmp_path, sources=SourceSettings.model_validate({"s3": {"endpoint": "https://a.example"}})
    )
    with pytest.raises(SourceError) as refused:
        open_data_source_bucket(DataSourceKind.SPACES, {"bucket_name": "any"}, {}, app)
    assert refused.value.code == "credentials_missing"


@pytest.mark.parametrize(
    ("regions", "region", "expected"),
    [
        ({"nyc3": "http://{}"}, "nyc3", True),
        ({"*": "http://{}/{{region}}"}, "nyc3", True),
        ({"ams3": "http://{}"}, "nyc3", False),
    ],
)
def test_the_endpoint_of_a_region_is_the_operator_s(
    s3: S3Server, tmp_path: Path, regions: dict[str, str], region: str, expected: bool
) -> None:
    listing = LISTING if "*" not in regions else f"/nyc3{LISTING}"
    with WebServer({listing: answer(body=b"<ListBucketResult/>")}) as mapped, WebServer() as other:
        endpoints = {name: each.format(mapped.url.removeprefix("http://")) for name, each in regions.items()}
        sources = SourceSettings(s3=s3.settings(endpoint=other.url, region=None), regions=endpoints)
        named = {"bucket_name": "documents", "region": region}
        app = Settings(data_folder=tmp_path, sources=sources)
        with open_data_source_bucket(DataSourceKind.SPACES, named, {}, app) as bucket:
            if expected:
                assert bucket.page(None, 1000).files == []
            else:
                assert _failure(bucket)[0] == "bucket_not_found"
        assert (mapped.connections, other.connections) == ((1, 0) if expected else (0, 1))
        assert f"/{region}/s3/aws4_request" in [*mapped.heads, *other.heads][0]
