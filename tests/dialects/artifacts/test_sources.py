"""What `uri`, `file_path` and names may reach: allowed folders and public addresses, nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import sample_files
from tests.artifact_client import ArtifactClient


@contextmanager
def counting_listener() -> Iterator[tuple[int, list[bytes]]]:
    """A loopback port, and what was sent to it."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        ending = threading.Event()

        def accept() -> None:
            while not ending.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    seen.append(b"contacted")

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], seen
        ending.set()
        thread.join()


def inbox(client: ArtifactClient) -> Path:
    return client.service.data_folder / "inbox"


def test_the_documented_page_as_it_is_written(client: ArtifactClient) -> None:
    """A path instead of an input, and no artifact: the file's name is the id."""
    path = sample_files.pdf(inbox(client) / f"{client.collection}.pdf", ["neural nets basics"])
    task = client.ingest({"file_path": str(path), "collection": client.collection})
    assert client.status(task)["task_status"] in {"PENDING", "STARTED", "SUCCESS"}
    status = client.wait(task)
    assert status["task_status"] == "SUCCESS"
    document = status["task_result"]["data"][0]
    assert document["artifact"] == path.name
    assert len(document["doc_metadata"]["hash"]) == 64
    assert client.search("neural nets")[0]["document"]["artifact"] == path.name
    client.deleted(path.name)
    assert client.search("neural nets") == []


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "../postgres/password",
        "inbox/../../etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://user@127.0.0.1:{port}/",
    ],
)
def test_what_is_not_allowed_is_refused_and_never_contacted(client: ArtifactClient, uri: str) -> None:
    with counting_listener() as (port, seen):
        answer = client.post_async(client.uri("a", uri.format(port=port)))
        if answer.status_code == 200:
            # A host name is only known to be a local one when it is looked up.
            status = client.wait(answer.json()["task_id"])
            assert status["task_status"] == "FAILURE"
            detail = status["task_result"]
        else:
            assert answer.status_code == 403, answer.text
            detail = answer.json()["detail"]
        assert "sources." in detail or "inbox" in detail
        assert "root:" not in detail
    assert seen == []
    assert client.ids() == []


def test_a_link_out_of_the_inbox_is_refused(client: ArtifactClient, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("very secret")
    link = inbox(client) / f"{client.collection}.txt"
    link.symlink_to(secret)
    answer = client.post_async({"file_path": str(link), "collection": client.collection})
    text = answer.text
    if answer.status_code == 200:
        text = client.wait(answer.json()["task_id"])["task_result"]
    assert "secret" not in text.replace(str(link), "")
    assert client.ids() == []


@pytest.mark.parametrize("name", ["../../escape", "..", "/etc/escape", "a/b", "C:\\escape", ".", "x" * 255])
def test_names_are_opaque_keys(client: ArtifactClient, name: str) -> None:
    before = {path for path in client.service.data_folder.parent.rglob("*") if "escape" in path.name}
    named = ArtifactClient(client.service, name)
    named.done(named.text(name, f"text of {name}"))
    assert named.content(name) == f"text of {name}"
    named.deleted(name)
    assert named.ids() == []
    assert {path for path in client.service.data_folder.parent.rglob("*") if "escape" in path.name} == before


def test_a_data_uri_is_read(client: ArtifactClient) -> None:
    client.done(client.uri("a", "data:text/plain;base64,bmV1cmFsIG5ldHM="))
    assert client.content("a") == "neural nets"


def test_items_of_upsertion_tasks_name_sources_too_but_never_uploads(client: ArtifactClient) -> None:
    path = inbox(client) / f"{client.collection}.txt"
    path.write_text("neural nets from a file")
    upload = client.ingest(client.text("long", "a private upload. " * 10_000))
    client.wait(upload)
    items = [
        {"object_id": "file", "item_info": {"source": "file", "path": str(path)}, "payload": {"kind": "x"}},
        {"object_id": "uri", "item_info": {"source": "uri", "uri": path.name}},
        {"object_id": "passwd", "item_info": {"source": "file", "path": "/etc/passwd"}},
        {"object_id": "upload", "item_info": {"source": "spool", "value": "spool:" + "0" * 64}},
        {"object_id": "text", "item_info": {"source": "text", "value": "x"}},
        {"object_id": "plain", "payload": {"text": "plain text"}, "item_info": {"note": "source"}},
    ]
    task = client.service.wait(client.service.run(items, task_id=client.collection)["id"])
    assert (task["status"], task["done_items"]) == ("done", 3)
    failed = {each["item"]["object_id"]: each["detail"] for each in task["failed_items"]}
    assert set(failed) == {"passwd", "upload", "text"}
    assert "allowed_folders" in failed["passwd"]
    for name in ("upload", "text"):
        assert "expected" in failed[name]
