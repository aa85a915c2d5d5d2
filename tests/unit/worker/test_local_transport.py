"""The local broker on a real folder: whole messages, each to one reader, and no message that stops a worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu.connection import Connection

from indexmill.worker import local_transport
from indexmill.worker.local_transport import LOCAL_URL, register


def channel_of(folder: Path) -> Any:
    register()
    connection = Connection(LOCAL_URL, transport_options={"folder": str(folder)})  # type: ignore[no-untyped-call]
    return connection.channel()  # type: ignore[no-untyped-call]


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Any]:
    opened = channel_of(tmp_path)
    yield opened
    opened.connection.client.release()


def test_messages_come_in_the_order_in_which_they_were_sent(channel: Any) -> None:
    for number in range(5):
        channel._put("wakes", {"number": number})
    assert channel._size("wakes") == 5
    assert [channel._get("wakes")["number"] for _ in range(5)] == list(range(5))
    with pytest.raises(Empty):
        channel._get("wakes")


def test_a_message_that_is_being_written_is_not_seen(channel: Any, tmp_path: Path) -> None:
    (tmp_path / "wakes").mkdir()
    (tmp_path / "wakes" / "0001_x.tmp").write_text('{"half')
    assert channel._size("wakes") == 0
    with pytest.raises(Empty):
        channel._get("wakes")


def test_a_message_that_is_no_json_is_dropped_and_the_next_one_comes(channel: Any, tmp_path: Path) -> None:
    (tmp_path / "wakes").mkdir()
    (tmp_path / "wakes" / "0001_x.msg").write_text('{"half')
    channel._put("wakes", {"number": 2})
    assert channel._get("wakes") == {"number": 2}
    assert list((tmp_path / "wakes").iterdir()) == []


def test_two_readers_never_get_the_same_message(tmp_path: Path) -> None:
    writer = channel_of(tmp_path)
    for number in range(200):
        writer._put("wakes", {"number": number})
    seen: list[int] = []

    def read() -> None:
        reader = channel_of(tmp_path)
        try:
            while True:
                seen.append(reader._get("wakes")["number"])
        except Empty:
            reader.connection.client.release()

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(timeout=30)
    writer.connection.client.release()
    assert sorted(seen) == list(range(200))


def test_queues_are_apart_and_purged_alone(channel: Any, tmp_path: Path) -> None:
    channel._put("a", {"of": "a"})
    channel._put("b", {"of": "b"})
    assert channel._purge("a") == 1
    assert channel._get("b") == {"of": "b"}


def test_nobody_else_can_read_the_messages(channel: Any, tmp_path: Path) -> None:
    channel._put("wakes", json.loads("{}"))
    assert (tmp_path / "wakes").stat().st_mode & 0o077 == 0


def test_events_go_to_every_listener_and_to_nobody_where_none_listens(channel: Any, tmp_path: Path) -> None:
    assert channel._lookup("celeryev", "worker.heartbeat") == []
    assert list(tmp_path.iterdir()) == []
    for name in ("celeryev.one", "celeryev.two"):
        channel._new_queue(name)
    assert sorted(channel._lookup("celeryev", "worker.heartbeat")) == ["celeryev.one", "celeryev.two"]


def test_a_listener_that_has_stopped_reading_is_dropped(channel: Any, tmp_path: Path) -> None:
    channel._new_queue("celeryev.gone")
    channel._new_queue("celeryev.there")
    for number in range(local_transport._MAX_UNREAD_EVENTS):
        (tmp_path / "celeryev.gone" / f"{number:04d}.msg").write_text("{}")
    assert channel._lookup("celeryev", "task.received") == ["celeryev.there"]
    assert not (tmp_path / "celeryev.gone").exists()


def test_wakes_still_have_one_queue_of_their_exchange_s_name(channel: Any) -> None:
    channel.exchange_declare("wakes", "direct")
    assert channel._lookup("wakes", "wakes") == ["wakes"]
