"""Tenants on real processes: keys made on the command line, and one tenant's flood in front of another's small task."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest

from tests.acceptance.fixtures import StartService
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.acceptance


def command(service: RunningService, *arguments: str, code: int = 0) -> Any:
    """What `indexmill ... --json` printed."""
    result = subprocess.run(
        [sys.executable, "-m", "indexmill", *arguments, "--json"],
        env=service.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout) if result.stdout else result.stderr


def task(service: RunningService, key: str, count: int, model: str = "wordllama-256") -> dict[str, Any]:
    items = [{"object_id": f"doc-{number}", "payload": {"text": f"text {number} of many"}} for number in range(count)]
    body = {"embedding_model_id": model, "items": items}
    answer = service.http.post("/internal/upsertion-tasks/run", json=body, headers={"x-api-key": key})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_keys_open_close_and_rotate_while_the_service_runs(start_service: StartService) -> None:
    service = start_service()

    def status(key: str | None) -> int:
        return service.http.get("/jobs", headers={"x-api-key": key} if key else {}).status_code

    assert status(None) == 200
    made = command(service, "keys", "create", "--tenant", "acme", "--role", "read", "--expires-days", "30")
    wait_until(lambda: status(None) == 401, 60, "the service to want keys")
    assert status(made["key"]) == 200
    listed = command(service, "keys", "list", "--tenant", "acme")["keys"]
    assert [(each["id"], each["role"], each["state"]) for each in listed] == [(made["id"], "read", "active")]
    assert made["key"] not in json.dumps(listed)

    rotated = command(service, "keys", "rotate", made["id"])
    assert (rotated["role"], rotated["tenant"]) == ("read", "acme")
    assert status(rotated["key"]) == 200
    wait_until(lambda: status(made["key"]) == 401, 60, "the old key to open nothing")
    command(service, "keys", "disable", rotated["key"])
    wait_until(lambda: status(rotated["key"]) == 401, 60, "the disabled key to open nothing")
    assert "not found" in command(service, "keys", "disable", "aaaaaaaaaaaa", code=3)
    names = [each["name"] for each in command(service, "tenants", "list")["tenants"]]
    assert names == ["acme", "default"]
    assert command(service, "tenants", "set", "acme", "--weight", "2")["weight"] == 2

    key = command(service, "keys", "create", "--role", "admin")["key"]
    service.environment["INDEXMILL_API_KEY"] = key
    assert command(service, "models", "list", "--url", f"http://127.0.0.1:{service.port}")["models"]
    service.environment["INDEXMILL_API_KEY"] = made["key"]
    assert "disabled" in command(service, "models", "list", "--url", f"http://127.0.0.1:{service.port}", code=8)


def test_another_address_is_refused_until_there_is_a_key(start_service: StartService) -> None:
    service = start_service(until_ready=False, INDEXMILL_SERVER__HOST="0.0.0.0")  # noqa: S104 - that is what is refused
    assert service.process is not None
    assert service.process.wait(timeout=60) == 2
    assert "indexmill keys create --role admin" in service.log.read_text()
    key = command(service, "keys", "create", "--role", "admin")["key"]
    service.start()
    assert service.http.get("/jobs").status_code == 401
    answer = service.http.get("/jobs", headers={"x-api-key": key, "host": "mill.example.com"})
    assert answer.status_code == 200


def test_a_tenants_flood_delays_the_small_task_of_another_by_a_window(
    start_service: StartService, database_url: str
) -> None:
    service = start_service(INDEXMILL_WORKER__PROCESSES="1")
    large, small = (command(service, "keys", "create", "--tenant", name, "--role", "admin")["key"] for name in "ab")
    task(service, large, 20_000)
    for _ in range(100):
        task(service, large, 1)
    # Its first request makes the tenant's model ready.
    assert service.http.get("/models", headers={"x-api-key": small}).status_code == 200
    time.sleep(0.5)
    wanted = task(service, small, 1)["id"]

    def info() -> str:
        query = {"task_id": wanted}
        answer = service.http.get("/internal/upsertion-tasks/info", params=query, headers={"x-api-key": small})
        return str(answer.json()["status"])

    wait_until(lambda: info() == "done", 30, "the small task")
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            """
            WITH mine AS (
                SELECT j.queued_at, b.ended_at FROM job j JOIN tenant t ON t.id = j.tenant JOIN batch b ON b.job = j.id
                WHERE t.name = 'b'
            )
            SELECT count(DISTINCT b.lease), bool_or(j.finished_at IS NULL)
            FROM job j JOIN tenant t ON t.id = j.tenant AND t.name = 'a'
            LEFT JOIN mine ON true
            LEFT JOIN batch b ON b.job = j.id AND b.ended_at > mine.queued_at AND b.ended_at < mine.ended_at
            """
        ).fetchone()
    assert row is not None
    windows, is_unfinished = row
    assert is_unfinished, "the flood was over before the small task came: it shows nothing"
    # The one that ran, and one that may have been chosen while the small task was being committed.
    assert windows <= 2
