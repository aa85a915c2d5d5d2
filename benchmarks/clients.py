"""Clients that cost little, since they share the cores with what they measure: prepared requests over kept sockets."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

__all__ = ["call", "post_all", "request_times", "submit_and_wait"]

_HEAD = (
    "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)


def _request(method: str, path: str, body: bytes) -> bytes:
    return _HEAD.format(method=method, path=path, length=len(body)).encode() + body


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    return status, await reader.readexactly(length)


def call(port: int, method: str, path: str, body: Any = None) -> Any:
    """One request on a connection of its own; the answer's JSON."""

    async def once() -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        try:
            return await _exchange(reader, writer, _request(method, path, json.dumps(body).encode() if body else b""))
        finally:
            writer.close()

    status, data = asyncio.run(once())
    if status >= 400:
        raise RuntimeError(f"{method} {path}: expected success, got {status}: {data[:300]!r}")
    return json.loads(data)


def request_times(port: int, method: str, path: str, body: Any, count: int) -> list[float]:
    """The same request so many times, one after the other; the seconds of each."""
    request = _request(method, path, json.dumps(body).encode())

    async def all_of_them() -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        found = []
        for _ in range(count):
            started = time.perf_counter()
            status, data = await _exchange(reader, writer, request)
            found.append(time.perf_counter() - started)
            if status != 200:
                raise RuntimeError(f"{method} {path}: expected 200, got {status}: {data[:300]!r}")
        writer.close()
        return found

    return asyncio.run(all_of_them())


def submit_and_wait(port: int, path: str, body: Any) -> tuple[float, dict[str, Any]]:
    """Post a task and ask for it until it has ended: the seconds from the request's first byte, and the task."""
    request = _request("POST", f"{path}/run", json.dumps(body).encode())

    async def once() -> tuple[float, dict[str, Any]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        started = time.perf_counter()
        _, data = await _exchange(reader, writer, request)
        task = json.loads(data)
        question = _request("GET", f"{path}/info?task_id={task['id']}", b"")
        while task["status"] in ("pending", "processing"):
            await asyncio.sleep(0.01)
            _, data = await _exchange(reader, writer, question)
            task = json.loads(data)
        writer.close()
        return time.perf_counter() - started, task

    return asyncio.run(once())


def post_all(port: int, path: str, bodies: list[Any], clients: int) -> float:
    """Post every body, `clients` at a time; the seconds it took."""
    requests = [_request("POST", path, json.dumps(body).encode()) for body in bodies]

    async def client(share: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        for request in share:
            status, data = await _exchange(reader, writer, request)
            if status != 200:
                raise RuntimeError(f"POST {path}: expected 200, got {status}: {data[:300]!r}")
        writer.close()

    async def everyone() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(client(requests[number::clients]) for number in range(clients)))
        return time.perf_counter() - started

    return asyncio.run(everyone())
