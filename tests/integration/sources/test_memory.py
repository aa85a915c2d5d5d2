"""However large a source is, reading it takes the memory of a small one."""

from __future__ import annotations

import gzip
import multiprocessing
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexmill.settings import S3Settings, Settings, SourceSettings
from indexmill.sources.spool import open_spool
from indexmill.sources.uri import open_sources
from tests.web_server import WebServer, answer

MIB = 1 << 20
LARGE = 200 * MIB


def _pour(size: int, **headers: str) -> bytes:
    fields = {"content-length": str(size)} | {name.replace("_", "-"): value for name, value in headers.items()}
    return b"HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        for name, size in (("small", MIB), ("large", LARGE)):

            def write(connection: socket.socket, size: int = size) -> None:
                # What an S3 client wants to see, too.
                connection.sendall(_pour(size, etag='"1"', last_modified="Sun, 22 Nov 2026 00:00:00 GMT"))
                for _ in range(size // MIB):
                    connection.sendall(bytes(MIB))

            # A thousand times smaller, so that one piece of it is 64 MiB.
            packed = answer(body=gzip.compress(bytes(size), 6), content_encoding="gzip")
            running.answers |= {f"/{name}": write, f"/bucket/{name}": write, f"/packed/{name}": packed}
        yield running


def _grows(settings: Settings, kind: str, uri: str) -> int:
    """By how many bytes the peak grows from the small one to the large one."""
    sources, spool = open_sources(settings), open_spool(settings)
    sources.prepare()
    peaks = []
    for name, size in (("small", MIB), ("large", LARGE)):
        if kind == "spool":
            reference = spool.write(bytes(MIB) for _ in range(size // MIB)).reference
            fetched = spool.fetch(reference)
        else:
            fetched = sources.fetch(uri + name)
        with fetched:
            assert fetched.size == size
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    return peaks[1] - peaks[0]


@pytest.mark.parametrize("kind", ["http", "packed", "s3", "file", "spool"])
def test_200_mib_take_the_memory_of_one(kind: str, server: WebServer, tmp_path: Path) -> None:
    settings = Settings(
        data_folder=tmp_path / "data",
        sources=SourceSettings(
            allowed_hosts=["127.0.0.1"],
            allowed_folders=[tmp_path / "docs"],
            max_bytes=LARGE,
            timeout_seconds=36,
            s3=S3Settings(endpoint=server.url, region="us-east-1", allow_http=True, anonymous=True),
        ),
    )
    (tmp_path / "docs").mkdir()
    for name, size in (("small", MIB), ("large", LARGE)):
        with (tmp_path / "docs" / name).open("wb") as file:
            file.truncate(size)
    uri = {
        "http": f"{server.url}/",
        "packed": f"{server.url}/packed/",
        "s3": "s3://bucket/",
        "file": f"{tmp_path}/docs/",
        "spool": "",
    }[kind]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        # The client of S3 reads ahead, but not 200 MiB.
        assert pool.apply(_grows, (settings, kind, uri)) < 40 * MIB
