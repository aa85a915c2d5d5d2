"""200 MiB through a real server: the file arrives, memory stays small, and other requests are answered meanwhile."""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import resource
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Request

from indexmill.access_settings import AuthSettings, LimitSettings
from indexmill.http.auth import Gate, Metering
from indexmill.http.listening import listening_socket
from indexmill.http.problems import NativeRoute
from indexmill.http.uploads import UploadReader
from indexmill.ledger.tenants import Tenants
from indexmill.security.limits import Limits
from indexmill.sources.spool import FolderSpool
from tests.unit.http.fake_service import FakeTenants, open_authenticator

MIB = 1 << 20
LARGE = 200 * MIB
PIECE = bytes(range(256)) * (3 * MIB // 4 // 256)
PIECES = LARGE // MIB


def _serve(folder: Path, port: Connection) -> None:
    """A small app over the reader, as a front door uses it."""
    spool = FolderSpool(folder / "spool", max_bytes=10**10, default_limit=LARGE)
    app = FastAPI()
    router = APIRouter(route_class=NativeRoute)
    reader = UploadReader(2 * LARGE, spool, folder / "uploads")

    @router.post("/ingest")
    async def ingest(request: Request) -> dict[str, Any]:
        async with reader.read(request) as upload:
            if "file" in upload.value:
                file = await upload.spool_file(upload.value["file"])
            else:
                given = upload.value["ingest_body"]["input"]
                spool_it = upload.spool_base64 if given["type"] == "file" else upload.spool_text
                file = await spool_it(given["value"])
        return {"size": file.size, "sha256": file.sha256}

    @router.get("/peak")
    async def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    app.include_router(router)
    gate = Gate(open_authenticator(), Limits(cast("Tenants", FakeTenants()), LimitSettings()), AuthSettings())
    app.state.gate = gate
    app.add_middleware(Metering, gate=gate)
    listener = listening_socket("127.0.0.1", 0)
    port.send(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None)).run(sockets=[listener])


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(tmp_path, theirs))
    server.start()
    assert ours.poll(60)
    transport = httpx.HTTPTransport(retries=5)
    with httpx.Client(base_url=f"http://127.0.0.1:{ours.recv()}", timeout=60, transport=transport) as made:
        yield made
    server.terminate()
    server.join(60)
    assert server.exitcode is not None
    assert list(tmp_path.glob("uploads/*")) == []


def _json(kind: str, piece: bytes, pieces: int) -> Iterator[bytes]:
    yield b'{"ingest_body": {"input": {"value": "'
    for _ in range(pieces):
        yield piece
    yield b'", "type": "%b"}}}' % kind.encode()


def _form(pieces: int) -> Iterator[bytes]:
    yield b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    for _ in range(pieces):
        yield PIECE
    yield b"\r\n--X--\r\n"


def _send(client: httpx.Client, kind: str, pieces: int) -> tuple[dict[str, Any], bytes]:
    """The answer, and a piece of what the server must have got."""
    if kind == "form":
        headers = {"content-type": "multipart/form-data; boundary=X"}
        return client.post("/ingest", content=_form(pieces), headers=headers).raise_for_status().json(), PIECE
    if kind == "file":
        written, meant = base64.b64encode(PIECE), PIECE
    else:
        written, meant = rb"\u00e4\"\ud83d\ude00 0123456789abcdef" * 25_000, 'ä"😀 0123456789abcdef'.encode() * 25_000
    return client.post("/ingest", content=_json(kind, written, pieces)).raise_for_status().json(), meant


@pytest.mark.parametrize("kind", ["file", "text", "form"])
def test_a_file_of_200_mib_takes_little_memory(client: httpx.Client, kind: str) -> None:
    _send(client, kind, 2)
    before = client.get("/peak").json()
    answer, piece = _send(client, kind, PIECES)
    assert client.get("/peak").json() - before < 40 * MIB
    digest = hashlib.sha256()
    for _ in range(PIECES):
        digest.update(piece)
    assert answer == {"size": len(piece) * PIECES, "sha256": digest.hexdigest()}


def test_others_are_answered_while_a_large_file_is_read(client: httpx.Client) -> None:
    failed: list[Exception] = []

    def send() -> None:
        try:
            _send(client, "file", PIECES)
        except httpx.HTTPError as error:
            failed.append(error)

    upload = threading.Thread(target=send)
    seconds: list[float] = []
    upload.start()
    started = time.perf_counter()
    while upload.is_alive():
        begin = time.perf_counter()
        client.get("/peak").raise_for_status()
        seconds.append(time.perf_counter() - begin)
        time.sleep(0.01)
    upload.join()
    # Nobody waits for the file: not while it comes, and not while it is checked and stored at its end.
    assert len(seconds) > 20
    assert max(seconds) < (time.perf_counter() - started) / 2
    assert not failed


def test_a_client_that_sends_too_much_reads_why(client: httpx.Client) -> None:
    answer = client.post("/ingest", content=b"x" * (2 * LARGE + 1))
    assert answer.status_code == 413
    assert "server.upload_limit_bytes" in answer.json()["error"]["message"]
