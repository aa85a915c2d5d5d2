"""What goes over a broker and what is taken from it: JSON, on each of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from indexmill.settings import CelerySettings, Settings
from indexmill.worker.celery_app import DRAIN_TASK, make_celery

URLS = {"local": None, "redis": "redis://localhost:6379/0", "rabbitmq": "amqp://guest:guest@localhost:5672//"}


@pytest.mark.parametrize(("mode", "url"), URLS.items())
def test_every_broker_carries_and_takes_json_only(tmp_path: Path, mode: str, url: str | None) -> None:
    celery = CelerySettings.model_validate({"broker_mode": mode, "broker_url": url})
    app = make_celery(Settings(data_folder=tmp_path, celery=celery))
    assert set(app.conf.accept_content) == {"json"}
    assert app.conf.task_serializer == "json"
    # No results are stored at all.
    assert (app.conf.result_backend, app.conf.task_ignore_result) == (None, True)
    assert app.conf.worker_enable_remote_control is False


def test_a_wake_is_json_with_nothing_in_it(tmp_path: Path) -> None:
    app = make_celery(Settings(data_folder=tmp_path))
    app.send_task(DRAIN_TASK, retry=False)
    app.close()
    [path] = (tmp_path / "broker").rglob("*.msg")
    data = path.read_bytes()
    message = json.loads(data)
    assert (message["content-type"], message["content-encoding"]) == ("application/json", "utf-8")
    body = json.loads(base64.b64decode(message["body"]))
    assert body[:2] == [[], {}], "a wake names a queue, and carries no arguments"
    assert b"python-serialize" not in data
