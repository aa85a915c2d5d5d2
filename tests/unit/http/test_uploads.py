"""Uploads are limited in size, time and number, refused in words, and leave nothing behind."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from indexmill.errors import TransientError
from indexmill.http import body_stream, uploads
from indexmill.http.problems import Problem, ProblemError
from indexmill.http.uploads import FormFile, LongString, Upload, UploadReader
from indexmill.sources.spool import FolderSpool
from indexmill.sources.upload_store import FolderUploadStore, new_object_key

Message = dict[str, Any]
LIMIT, INLINE = 10_000, 100
FORM = {"content-type": "multipart/form-data; boundary=X"}


class Sender:
    """Sends chunks, then falls silent, goes away, or has sent all."""

    def __init__(self, chunks: list[bytes], headers: dict[str, str] | None = None, then: str = "") -> None:
        self.received = 0
        self._chunks = chunks
        self._then = then
        names = {name.encode(): value.encode() for name, value in (headers or {}).items()}
        self.request = Request({"type": "http", "method": "POST", "path": "/", "headers": list(names.items())}, self)

    async def __call__(self) -> Message:
        at, self.received = self.received, self.received + 1
        if at >= len(self._chunks) and self._then == "silence":
            await asyncio.sleep(60)
        if at >= len(self._chunks):
            return {"type": "http.disconnect"}
        more = bool(self._then) or at < len(self._chunks) - 1
        return {"type": "http.request", "body": self._chunks[at], "more_body": more}


@pytest.fixture
def spool(tmp_path: Path) -> FolderSpool:
    return FolderSpool(tmp_path / "spool", max_bytes=20_000, default_limit=5_000)


@pytest.fixture
def reader(tmp_path: Path, spool: FolderSpool) -> UploadReader:
    return UploadReader(LIMIT, spool, tmp_path / "uploads", INLINE)


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert list(tmp_path.glob("uploads/*")) == []
    assert list(tmp_path.glob("spool/incoming/*")) == []


def read(
    reader: UploadReader, sender: Sender, then: Callable[[Upload], Awaitable[Any]] | None = None
) -> tuple[Any, Any]:
    async def scene() -> tuple[Any, Any]:
        async with reader.read(sender.request) as upload:
            return upload.value, await then(upload) if then is not None else None

    return asyncio.run(scene())


def refused(reader: UploadReader, sender: Sender, then: Callable[[Upload], Awaitable[Any]] | None = None) -> Problem:
    with pytest.raises(ProblemError) as error:
        read(reader, sender, then)
    return error.value.problem


def chunked(value: Any, size: int = 64) -> list[bytes]:
    data = json.dumps(value).encode()
    return [data[at : at + size] for at in range(0, len(data), size)]


def stored(spool: FolderSpool, reference: str) -> bytes:
    with spool.open(reference) as file:
        return file.read()


def test_a_small_body_is_parsed_and_makes_no_file(reader: UploadReader, tmp_path: Path) -> None:
    assert read(reader, Sender([b'{"a": ', b"[1.0]}"]))[0] == {"a": [1.0]}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [10, 3000])
def test_a_file_in_base64_is_spooled_decoded(reader: UploadReader, spool: FolderSpool, length: int) -> None:
    data = bytes(range(256)) * (length // 256 + 1)
    text = base64.encodebytes(data[:length]).decode()
    body = {"ingest_body": {"input": {"value": text, "type": "file"}, "artifact": "a"}}
    value, file = read(
        reader, Sender(chunked(body)), lambda u: u.spool_base64(u.value["ingest_body"]["input"]["value"])
    )
    assert value["ingest_body"]["artifact"] == "a"
    assert (file.size, file.sha256) == (length, hashlib.sha256(data[:length]).hexdigest())
    assert stored(spool, file.reference) == data[:length]


@pytest.mark.parametrize("count", [2, 400])
def test_a_text_is_spooled_as_it_is(reader: UploadReader, spool: FolderSpool, count: int) -> None:
    text = 'ä"😀\n' * count
    value, file = read(reader, Sender(chunked({"value": text, "name": "x"})), lambda u: u.spool_text(u.value["value"]))
    assert (isinstance(value["value"], LongString), value["name"]) == (count == 400, "x")
    assert stored(spool, file.reference) == text.encode()


def test_several_long_strings_of_one_body(reader: UploadReader, spool: FolderSpool) -> None:
    async def both(upload: Upload) -> list[bytes]:
        files = await asyncio.gather(*(upload.spool_text(each) for each in upload.value))
        return [stored(spool, each.reference) for each in files]

    texts = ["a" * 2000, "b" * 3000]
    assert read(reader, Sender(chunked(texts)), both)[1] == [each.encode() for each in texts]


def test_a_form_with_a_file(reader: UploadReader, spool: FolderSpool) -> None:
    head = b'--X\r\nContent-Disposition: form-data; name="collection"\r\n\r\nc1\r\n'
    body = head + b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n--X--\r\n'
    value, file = read(reader, Sender([body], FORM), lambda u: u.spool_file(u.value["file"]))
    assert (value["collection"], value["file"].file_name) == ("c1", "a.txt")
    assert stored(spool, file.reference) == b"hello"


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", {}, "invalid_json"),
        (b"{", {}, "invalid_json"),
        (b'{"a": NaN}', {}, "invalid_json"),
        (b'{"a": "' + b"x" * 200, {}, "invalid_json"),
        (b'["' + b"x" * 200 + rb'\ud83d and no other half"]', {}, "invalid_json"),
        (b'["' + b"x" * 200 + b'", 1e999]', {}, "invalid_json"),
        (b"nonsense", FORM, "invalid_form"),
        (b"", {"content-type": "multipart/form-data"}, "invalid_form"),
    ],
)
def test_what_is_malformed_is_400_in_words(
    reader: UploadReader, body: bytes, headers: dict[str, str], code: str
) -> None:
    problem = refused(reader, Sender([body], headers))
    assert (problem.status, problem.code) == (400, code)
    assert problem.inputs[0]["msg"] == problem.message


@pytest.mark.parametrize("text", ["no base64!", "QUJ" + "x" * 200, "-" * 400])
def test_what_is_not_base64_is_400_and_nothing_is_spooled(reader: UploadReader, text: str, spool: FolderSpool) -> None:
    problem = refused(reader, Sender(chunked([text])), lambda u: u.spool_base64(u.value[0]))
    assert (problem.status, problem.code) == (400, "invalid_base64")
    assert list(spool._files.paths()) == []


def test_a_file_over_the_limit_of_sources_is_413(reader: UploadReader) -> None:
    problem = refused(reader, Sender(chunked(["x" * 5_001])), lambda u: u.spool_text(u.value[0]))
    assert problem.status == 413
    assert "sources.max_bytes" in problem.message


def test_a_full_spool_is_503_and_says_so(reader: UploadReader, spool: FolderSpool) -> None:
    for number in range(4):
        spool.write([bytes([number]) * 4_900])
    problem = refused(reader, Sender(chunked(["x" * 4_000])), lambda u: u.spool_text(u.value[0]))
    assert (problem.status, problem.headers["Retry-After"]) == (503, "2")


def test_a_disk_that_fails_is_503(reader: UploadReader, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TransientError("The disk of the data folder is full")

    monkeypatch.setattr("indexmill.http.holding_file.private_folder", fail)
    assert refused(reader, Sender(chunked(["x" * 4_000]))).status == 503


@pytest.mark.parametrize("declared", [None, LIMIT + 1])
def test_a_body_over_the_limit_is_413_and_what_follows_is_thrown_away(
    reader: UploadReader, declared: int | None
) -> None:
    headers = {"content-length": str(declared)} if declared is not None else {}
    sender = Sender([b'["', *[b"x" * 600] * 100], headers)
    problem = refused(reader, sender)
    assert (problem.status, problem.headers["Connection"]) == (413, "close")
    assert "server.upload_limit_bytes" in problem.message
    assert sender.received == 101


def test_who_asks_first_is_answered_before_anything_is_read(reader: UploadReader) -> None:
    sender = Sender([b"x"], {"content-length": str(LIMIT + 1), "expect": "100-continue"})
    assert refused(reader, sender).status == 413
    assert sender.received == 0


def test_much_besides_the_long_strings_is_413_before_the_end(
    reader: UploadReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_REST", 1000)
    monkeypatch.setattr(uploads, "_PIECE", 100)
    assert refused(reader, Sender([b"[", *[b"1," * 50] * 50])).status == 413


def test_a_client_that_falls_silent_is_408(reader: UploadReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_stream, "_IDLE_SECONDS", 0.05)
    for chunks in ([], [b'["' + b"x" * 300]):
        assert refused(reader, Sender(chunks, then="silence")).status == 408


def test_a_client_that_goes_on_for_ever_is_408(reader: UploadReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_stream, "_READ_SECONDS", 0.05)

    class Slow(Sender):
        async def __call__(self) -> Message:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": b" ", "more_body": True}

    assert refused(reader, Slow([])).status == 408


def test_a_client_that_goes_away_is_noticed(reader: UploadReader) -> None:
    assert refused(reader, Sender([b'["' + b"x" * 300], then="gone")).code == "disconnected"


def test_only_so_many_large_ones_at_once_and_small_ones_do_not_wait(
    tmp_path: Path, spool: FolderSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_AT_ONCE", 1)
    monkeypatch.setattr(uploads, "_PLACE_SECONDS", 0.05)
    reader = UploadReader(LIMIT, spool, tmp_path / "uploads", INLINE)
    large = chunked(["x" * 300])

    async def scene() -> Any:
        async with reader.read(Sender(large).request):
            async with reader.read(Sender([b"[1]"]).request) as small:
                assert small.value == [1]
            with pytest.raises(ProblemError) as busy:
                async with reader.read(Sender(large).request):
                    pass
            assert busy.value.problem.status == 503
        async with reader.read(Sender(large).request) as later:
            return later.value

    assert asyncio.run(scene()) == [LongString(0, 300)]


def test_what_is_cancelled_gives_its_place_back(
    tmp_path: Path, spool: FolderSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_AT_ONCE", 1)
    reader = UploadReader(LIMIT, spool, tmp_path / "uploads", INLINE)

    async def one(then: str) -> Any:
        async with reader.read(Sender(chunked(["x" * 300]), then=then).request) as upload:
            return upload.value

    async def scene() -> Any:
        task = asyncio.create_task(one("silence"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await one("")

    assert asyncio.run(scene()) == [LongString(0, 300)]


class Wire(BaseModel):
    value: str | LongString
    file: FormFile | None = None


def test_wire_models_take_what_was_written_aside_but_never_its_description_from_a_caller() -> None:
    assert Wire(value=LongString(0, 1), file=FormFile(0, 1, None, None)).value == LongString(0, 1)
    for forged in ({"value": {"begin": 0, "size": 1}}, {"value": "", "file": {"begin": 0, "size": 1}}):
        with pytest.raises(ValidationError):
            Wire.model_validate(forged)
    assert Wire.model_json_schema()["properties"]["value"]["type"] == "string"


@pytest.mark.parametrize("size", [0, 10, 4_000])
def test_a_body_is_stored_as_it_is(reader: UploadReader, tmp_path: Path, size: int) -> None:
    store, key, data = (
        FolderUploadStore(tmp_path / "spool", max_bytes=10_000, default_limit=10),
        new_object_key(1),
        b"x" * size,
    )
    sender = Sender([data[at : at + 1_000] for at in range(0, size, 1_000)] or [b""])
    asyncio.run(reader.receive(sender.request, 4_000, partial(store.put, key, limit=4_000)))
    with store.fetch(key) as fetched:
        assert fetched.path.read_bytes() == data


@pytest.mark.parametrize(
    ("sender", "status"),
    [
        (Sender([b"x" * 3_000, b"x" * 3_000]), 413),
        (Sender([b"x"], {"content-length": "5000"}), 413),
        (Sender([b"x" * 100], then="gone"), 400),
    ],
)
def test_what_is_too_large_or_breaks_off_is_not_stored(
    reader: UploadReader, tmp_path: Path, sender: Sender, status: int
) -> None:
    store, key = FolderUploadStore(tmp_path / "spool", max_bytes=10_000, default_limit=10), new_object_key(1)
    with pytest.raises(ProblemError) as refusal:
        asyncio.run(reader.receive(sender.request, 4_000, partial(store.put, key)))
    assert refusal.value.problem.status == status
    assert store.stat(key) is None


def test_a_full_store_is_503_and_the_upload_before_stays(reader: UploadReader, tmp_path: Path) -> None:
    store, key = FolderUploadStore(tmp_path / "spool", max_bytes=100, default_limit=100), new_object_key(1)
    store.put(key, [b"before"])
    with pytest.raises(ProblemError) as refusal:
        asyncio.run(reader.receive(Sender([b"x" * 99]).request, 4_000, partial(store.put, key)))
    assert (refusal.value.problem.status, refusal.value.problem.code) == (503, "spool_unavailable")
    with store.fetch(key) as fetched:
        assert fetched.path.read_bytes() == b"before"
