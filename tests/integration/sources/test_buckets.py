"""`s3://` sources and the shared spool against a real S3 server."""

from __future__ import annotations

import hashlib
import multiprocessing
import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError, ServiceError, SettingsError, TransientError
from indexmill.settings import S3Settings, Settings, SourceSettings
from indexmill.sources import kept_objects
from indexmill.sources.bucket_spool import BucketSpool
from indexmill.sources.kept_files import Pruned
from indexmill.sources.spool import Spool, open_spool
from indexmill.sources.start_check import check_sources
from indexmill.sources.uri import Sources
from tests.s3_server import S3Server
from tests.web_server import WebServer, answer

HELLO = "spool:" + hashlib.sha256(b"hello").hexdigest()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as running:
        running.client().create_bucket(Bucket="documents")
        running.client().create_bucket(Bucket="shared")
        yield running


@pytest.fixture(autouse=True)
def _no_credentials_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    # Mixed with the credentials of the settings, a stranger's session token would break them.
    monkeypatch.setenv("AWS_SESSION_TOKEN", "somebody else's")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def _sources(folder: Path, s3: S3Settings, **more: Any) -> Sources:
    made = Sources(SourceSettings.model_validate({"s3": s3, "max_bytes": 1000, "timeout_seconds": 5} | more), folder)
    made.prepare()
    return made


def _fails(sources: Sources, uri: str) -> ItemError:
    with pytest.raises(ItemError) as failure:
        sources.fetch(uri)
    assert list(sources._fetched.iterdir()) == []
    return failure.value


@pytest.mark.parametrize("key", ["a.txt", "folder/ü 50%.txt", "a+b&c=d?e#f.txt", "x" * 200])
def test_an_object_is_read_counted_hashed_and_named(s3: S3Server, tmp_path: Path, key: str) -> None:
    s3.client().put_object(Bucket="documents", Key=key, Body=b"hello", ContentType="text/markdown")
    with _sources(tmp_path, s3.settings()).fetch(f"s3://documents/{key}") as fetched:
        assert fetched.path.read_bytes() == b"hello"
        assert (fetched.size, fetched.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
        assert (fetched.file_name, fetched.media_type) == (key.rpartition("/")[2], "text/markdown")


def test_a_missing_key_and_a_missing_bucket_fail_for_good_in_words(s3: S3Server, tmp_path: Path) -> None:
    for uri in ("s3://documents/missing", "s3://nowhere/missing"):
        failure = _fails(_sources(tmp_path, s3.settings()), uri)
        assert (failure.code, failure.retryable) == (FailureCode.SOURCE_UNAVAILABLE, False)
        assert failure.sentence == "The object does not exist"


def test_an_object_over_the_limit_is_not_downloaded(s3: S3Server, tmp_path: Path) -> None:
    s3.client().put_object(Bucket="documents", Key="large", Body=b"x" * 1001)
    assert _fails(_sources(tmp_path, s3.settings()), "s3://documents/large").code is FailureCode.TOO_LARGE


def test_a_bucket_that_is_not_listed_is_not_asked_for(s3: S3Server, tmp_path: Path) -> None:
    with WebServer() as store:
        settings = s3.settings(endpoint=store.url, buckets=["open"])
        assert _fails(_sources(tmp_path, settings), "s3://documents/a").code is FailureCode.SOURCE_FORBIDDEN
        assert store.connections == 0


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_bucket_that_refuses_fails_for_good_and_its_words_stay_here(
    s3: S3Server, tmp_path: Path, status: str
) -> None:
    with WebServer({"/documents/a": answer(status, b"<Error>secret</Error>")}) as store:
        failure = _fails(_sources(tmp_path, s3.settings(endpoint=store.url)), "s3://documents/a")
        assert "Credential=test/" in store.heads[0]
        assert "x-amz-security-token" not in store.heads[0].lower()
    assert not failure.retryable
    assert "sources.s3" in failure.sentence
    assert "secret" not in failure.sentence


def test_a_store_that_is_down_broken_or_silent_can_be_tried_again(s3: S3Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    assert _fails(_sources(tmp_path, s3.settings(endpoint=endpoint)), "s3://documents/a").retryable
    with WebServer({"/documents/a": answer("500 Internal Server Error")}) as store:
        assert _fails(_sources(tmp_path, s3.settings(endpoint=store.url)), "s3://documents/a").retryable
    with WebServer() as store:
        store.answers["/documents/a"] = store.silence
        sources = _sources(tmp_path, s3.settings(endpoint=store.url), timeout_seconds=0.5)
        assert _fails(sources, "s3://documents/a").retryable


def test_anonymous_means_no_credentials(s3: S3Server, tmp_path: Path) -> None:
    with WebServer({"/documents/a": answer(body=b"x")}) as store:
        settings = S3Settings(endpoint=store.url, region="us-east-1", allow_http=True, anonymous=True)
        with _sources(tmp_path, settings).fetch("s3://documents/a") as fetched:
            assert fetched.size == 1
        assert "authorization" not in store.heads[0].lower()


@pytest.fixture
def spool(s3: S3Server, tmp_path: Path, request: pytest.FixtureRequest) -> Spool:
    """A prefix of its own a test."""
    prefix = f"spool/{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    settings = SourceSettings(s3=s3.settings(), spool_url=f"s3://shared/{prefix}/", max_bytes=20_000_000)
    return open_spool(Settings(data_folder=tmp_path, sources=settings))


def test_the_shared_spool_stores_once_reads_back_and_deletes(spool: Spool, s3: S3Server, tmp_path: Path) -> None:
    spool.check()
    first = spool.write([b"hel", b"lo"])
    assert (first.reference, first.size) == (HELLO, 5)
    assert spool.write([b"hello"]) == first
    with spool.open(HELLO) as file:
        assert file.read() == b"hello"
    with spool.fetch(HELLO) as fetched:
        spool.delete(HELLO)
        assert fetched.path.read_bytes() == b"hello"
    spool.delete(HELLO)
    with pytest.raises(ItemError, match="not exist"):
        spool.open(HELLO)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_shared_spool_takes_no_foreign_references_and_nothing_too_large(spool: Spool) -> None:
    for ask in (spool.open, spool.fetch, spool.delete):
        with pytest.raises(ItemError, match="reference"):
            ask("spool:../" + "0" * 61)
    with pytest.raises(ItemError) as failure:
        spool.write([b"12345"], limit=4)
    assert failure.value.code is FailureCode.TOO_LARGE


def test_parts_of_a_large_upload_come_back_whole(spool: Spool) -> None:
    data = bytes(range(256)) * 48_000
    reference = spool.write([data[:7_000_000], data[7_000_000:]]).reference
    with spool.fetch(reference) as fetched:
        assert fetched.path.read_bytes() == data


def test_what_was_changed_in_the_bucket_is_noticed(spool: Spool, s3: S3Server, tmp_path: Path) -> None:
    reference = spool.write([b"changed later"]).reference
    found = s3.client().list_objects_v2(Bucket="shared")["Contents"]
    key = next(each["Key"] for each in found if each["Key"].endswith(reference.removeprefix("spool:")))
    s3.client().put_object(Bucket="shared", Key=key, Body=b"other")
    with pytest.raises(ItemError, match="not what was uploaded"):
        spool.fetch(reference)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_shared_spool_prunes_what_is_old_and_not_needed(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    needed, unneeded = spool.write([b"needed"]).reference, spool.write([b"unneeded"]).reference
    assert spool.prune(lambda references: set(), 60) == Pruned(0, 0)

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + timedelta(days=1)

    monkeypatch.setattr(kept_objects, "datetime", Tomorrow)
    assert spool.prune(lambda references: {needed}, 60) == Pruned(1, 8)
    spool.open(needed).close()
    with pytest.raises(ItemError):
        spool.open(unneeded)


def test_a_spool_that_does_not_answer_stops_the_start_and_is_waited_for_later(s3: S3Server, tmp_path: Path) -> None:
    settings = SourceSettings(s3=s3.settings(), spool_url="s3://no-such-bucket/spool")
    spool = BucketSpool(settings, tmp_path)
    with pytest.raises(ServiceError, match=r"sources\.spool_url"):
        spool.check()
    with pytest.raises(TransientError, match="spool"):
        spool.write([b"x"])


def _in_a_forked_child(settings: SourceSettings, folder: Path, answers: Connection) -> None:
    try:
        Sources(settings, folder).fetch("s3://documents/a").remove()
        answers.send("read")
    except ServiceError as error:
        answers.send(str(error))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_says_that_the_client_does_not_work_there_instead_of_hanging(
    s3: S3Server, tmp_path: Path
) -> None:
    s3.client().put_object(Bucket="documents", Key="a", Body=b"hello")
    settings = SourceSettings(s3=s3.settings())
    Sources(settings, tmp_path).fetch("s3://documents/a").remove()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_a_forked_child, args=(settings, tmp_path, theirs))
    child.start()
    assert ours.poll(20)
    assert "fork" in ours.recv()
    child.join(60)


def test_two_threads_may_write_the_same(spool: Spool) -> None:
    threads = [threading.Thread(target=spool.write, args=([b"hello"],)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with spool.open(HELLO) as file:
        assert file.read() == b"hello"


def test_a_bucket_that_cannot_be_used_is_a_wrong_setting(s3: S3Server, tmp_path: Path) -> None:
    sources = SourceSettings(s3=s3.settings(), spool_url="s3://no-such-bucket/spool")
    with pytest.raises(SettingsError, match=r"sources\.spool_url"):
        check_sources(Settings(data_folder=tmp_path, sources=sources))


def test_pruning_asks_for_many_at_once_and_for_nothing_that_is_not_ours(
    spool: Spool, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {spool.write([b"%d" % number]).reference for number in range(5)}
    asked: list[list[str]] = []

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + timedelta(days=1)

    monkeypatch.setattr(kept_objects, "datetime", Tomorrow)

    def in_use(references: Sequence[str]) -> set[str]:
        asked.append(list(references))
        return set()

    assert spool.prune(in_use, 60, max_files=3).files == 3
    assert [set(each) for each in asked] == [written]


class Stop(Exception):
    pass


def stop() -> None:
    raise Stop


def test_a_fetch_that_is_not_wanted_any_more_stops_and_leaves_nothing(
    spool: Spool, s3: S3Server, tmp_path: Path
) -> None:
    s3.client().put_object(Bucket="documents", Key="a", Body=b"hello")
    with pytest.raises(Stop):
        _sources(tmp_path, s3.settings()).fetch("s3://documents/a", stop)
    reference = spool.write([b"hello"]).reference
    with pytest.raises(Stop):
        spool.fetch(reference, stop)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
