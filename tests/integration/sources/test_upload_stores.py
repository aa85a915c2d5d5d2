"""Uploaded files of data sources, in a folder and in a real bucket: replaced whole, kept while needed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import InvalidRequest, ItemError, TransientError
from indexmill.settings import Settings, SourceSettings
from indexmill.sources.spool import Spool, open_spool
from indexmill.sources.upload_store import FolderUploadStore, UploadStore, new_object_key, open_upload_store
from tests.s3_server import S3Server
from tests.web_server import WebServer, answer

KINDS = ["folder", "bucket"]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as running:
        running.client().create_bucket(Bucket="shared")
        yield running


@pytest.fixture(params=KINDS)
def settings(request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path) -> Settings:
    where = f"s3://shared/{uuid4().hex}" if request.param == "bucket" else None
    return Settings(data_folder=tmp_path, sources=SourceSettings(s3=s3.settings(), spool_url=where, max_bytes=1000))


@pytest.fixture
def store(settings: Settings) -> UploadStore:
    return open_upload_store(settings)


@pytest.fixture
def spool(settings: Settings) -> Spool:
    return open_spool(settings)


def _read(store: UploadStore, key: str) -> bytes:
    with store.fetch(key) as fetched:
        data = fetched.path.read_bytes()
        assert (fetched.size, fetched.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


def _temporary(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.part") if path.is_file()]


def test_what_is_put_is_read_and_a_new_upload_replaces_it(store: UploadStore, tmp_path: Path) -> None:
    key = new_object_key(1)
    assert store.stat(key) is None
    first = store.put(key, [b"hel", b"lo"])
    assert (first.size, first.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    before = store.stat(key)
    assert before is not None
    assert (before.object_key, before.size) == (key, 5)
    with store.fetch(key) as held:
        store.put(key, [b"other"])
        assert held.path.read_bytes() == b"hello"
    after = store.stat(key)
    assert after is not None
    assert after.revision != before.revision
    assert store.stat(key) == after
    assert _read(store, key) == b"other"
    assert _temporary(tmp_path) == []


def test_an_upload_that_breaks_off_or_is_too_large_changes_nothing(store: UploadStore, tmp_path: Path) -> None:
    key = new_object_key(1)
    store.put(key, [b"before"])

    def chunks() -> Iterator[bytes]:
        yield b"x"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.put(key, chunks())
    for limit in (None, 10):
        with pytest.raises(ItemError) as failure:
            store.put(key, [b"x" * 1001], limit)
        assert failure.value.code is FailureCode.TOO_LARGE
    assert _read(store, key) == b"before"
    assert _temporary(tmp_path) == []


def test_what_is_not_there_is_said_in_words(store: UploadStore) -> None:
    key = new_object_key(1)
    store.remove(key)
    store.put(key, [b"x"])
    store.remove(key)
    assert store.stat(key) is None
    with pytest.raises(ItemError, match="upload it again"):
        store.fetch(key)


@pytest.mark.parametrize(
    "key", ["", "a", "../" + "0" * 29, "0" * 33, "0" * 31 + "\n", "A" * 32, "0" * 32 + "/x", "ü" * 32]
)
def test_what_is_no_object_key_is_refused(store: UploadStore, key: str) -> None:
    for call in (store.stat, store.fetch, store.remove):
        with pytest.raises(InvalidRequest, match="object_key"):
            call(key)
    with pytest.raises(InvalidRequest, match="object_key"):
        store.put(key, [b"x"])


def test_what_is_old_and_needed_by_nobody_is_removed(store: UploadStore, tmp_path: Path) -> None:
    keys = [new_object_key(1) for _ in range(4)]
    for key in keys:
        store.put(key, [b"12345"])
    asked: set[str] = set()

    def are_kept(names: Sequence[str]) -> set[str]:
        asked.update(names)
        return {keys[0]}

    assert store.prune(are_kept, 3600).files == 0
    assert asked == set()
    # Older than in an hour: whatever is there now.
    assert store.prune(are_kept, -3600, max_files=2).files <= 2
    pruned = store.prune(are_kept, -3600)
    assert pruned.bytes == 5 * pruned.files
    assert asked == set(keys)
    assert [store.stat(key) is not None for key in keys] == [True, False, False, False]


def test_spool_and_uploads_do_not_touch_each_other(store: UploadStore, spool: Spool) -> None:
    key, reference = new_object_key(1), spool.write([b"spooled"]).reference
    store.put(key, [b"uploaded"])
    assert store.prune(lambda names: set(), -3600).files == 1
    store.put(key, [b"uploaded"])
    spool.open(reference).close()
    assert spool.prune(lambda references: set(), -3600).files == 1
    assert _read(store, key) == b"uploaded"


def test_uploads_to_one_key_at_once_leave_one_of_them(store: UploadStore, tmp_path: Path) -> None:
    key = new_object_key(1)
    contents = [str(number).encode() * 500 for number in range(6)]
    threads = [threading.Thread(target=store.put, args=(key, [each])) for each in contents]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert _read(store, key) in contents
    assert _temporary(tmp_path) == []


def test_a_folder_is_private_and_bounded(tmp_path: Path) -> None:
    store = FolderUploadStore(tmp_path / "objects", max_bytes=10, default_limit=100)
    key = new_object_key(1)
    store.put(key, [b"123456789"])
    with pytest.raises(TransientError, match=r"sources\.spool_max_bytes"):
        store.put(new_object_key(1), [b"12"])
    for path in (tmp_path / "objects").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.iterdir()] == ["objects"]


def test_two_hosts_share_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    sources = SourceSettings(s3=s3.settings(), spool_url=f"s3://shared/{uuid4().hex}/deep")
    one, other = (
        open_upload_store(Settings(data_folder=tmp_path / name, sources=sources)) for name in ("one", "other")
    )
    key = new_object_key(1)
    one.put(key, [b"shared"])
    assert _read(other, key) == b"shared"
    assert one.stat(key) == other.stat(key)


def test_a_bucket_that_is_away_is_waited_for(s3: S3Server, tmp_path: Path) -> None:
    key = new_object_key(1)
    with WebServer({f"/shared/objects/{key}": answer("500 Error")}) as away:
        sources = SourceSettings(s3=s3.settings(endpoint=away.url), spool_url="s3://shared", timeout_seconds=0.5)
        store = open_upload_store(Settings(data_folder=tmp_path, sources=sources))
        for call in (store.stat, store.fetch, store.remove):
            with pytest.raises(TransientError):
                call(key)
        with pytest.raises(TransientError):
            store.put(key, [b"x"])
