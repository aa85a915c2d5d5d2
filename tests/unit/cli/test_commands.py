"""Every command against a service: what it asks, what it prints, and with which code it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from indexmill.cli.exit_codes import ExitCode
from indexmill.cli.main import run
from indexmill.errors import ServiceError
from indexmill.http.listening import listening_socket
from indexmill.ledger.embedded_postgres import EmbeddedPostgres
from tests.unit.cli.conftest import JOB, FakeService

Captured = pytest.CaptureFixture[str]
PAGE = {"jobs": [JOB], "total": 1, "total_is_exact": True, "next": None}


def test_jobs_are_listed(service: FakeService, capsys: Captured) -> None:
    service.answer("GET /jobs", PAGE | {"next": JOB["id"]})
    arguments = ["jobs", "list", "--state", "failed", "--state", "running", "--collection", "a b", "--limit", "5"]
    assert run(arguments) == ExitCode.OK
    assert service.asked[0][0] == "GET /jobs?limit=5&state=failed&state=running&collection=a+b"
    output = capsys.readouterr()
    assert "upsert-001" in output.out
    assert f"--after {JOB['id']}" in output.err


def test_json_is_the_service_s_answer_and_nothing_else(service: FakeService, capsys: Captured) -> None:
    service.answer("GET /jobs", PAGE)
    assert run(["jobs", "list", "--json"]) == ExitCode.OK
    output = capsys.readouterr()
    assert json.loads(output.out) == PAGE
    assert output.err == ""


def test_a_job_is_shown_with_its_failed_items(service: FakeService, capsys: Captured) -> None:
    failure = {"position": 2, "object_id": "doc-3", "stage": "load", "code": "no_content", "retryable": False}
    job = JOB | {"reason": "with_failures", "counters": {"indexed": 2, "failed": 1}}
    service.answer("GET /jobs/upsert-001", job)
    service.answer(
        f"GET /jobs/{JOB['id']}/failed-items", {"failed_items": [failure | {"detail": "no text"}], "next": None}
    )
    assert run(["jobs", "show", "upsert-001"]) == ExitCode.OK
    output = capsys.readouterr().out
    assert "succeeded (with_failures)" in output
    assert "doc-3" in output
    assert "no text" in output
    assert run(["jobs", "show", "upsert-001", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["failed_items"][0]["object_id"] == "doc-3"


def test_names_are_quoted_in_paths(service: FakeService) -> None:
    service.answer("GET /jobs/a%2Fb%3Fc%20d", JOB)
    assert run(["jobs", "show", "a/b?c d"]) == ExitCode.OK


def test_watching_ends_with_the_job(service: FakeService, capsys: Captured) -> None:
    service.answer("GET /jobs/upsert-001", JOB | {"state": "queued", "progress": 0})
    service.answer("GET /jobs/upsert-001", JOB | {"state": "running", "progress": 0.3})
    service.answer("GET /jobs/upsert-001", JOB)
    assert run(["jobs", "watch", "upsert-001", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["state"] == "succeeded"
    assert len(service.asked) == 3


@pytest.mark.parametrize("state", ["failed", "cancelled", "refused"])
def test_watching_a_job_that_does_not_succeed_exits_with_1(service: FakeService, state: str) -> None:
    service.answer("GET /jobs/upsert-001", JOB | {"state": state})
    assert run(["jobs", "watch", "upsert-001"]) == ExitCode.JOB_NOT_SUCCEEDED


def test_watching_gives_up_at_its_timeout(service: FakeService, capsys: Captured) -> None:
    service.answer("GET /jobs/upsert-001", JOB | {"state": "running"})
    assert run(["jobs", "watch", "upsert-001", "--timeout", "0.05"]) == ExitCode.TIMEOUT
    assert "had not ended after 0.05 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["cancel", "upsert-001"], "/cancel"),
        (["retry", "upsert-001"], "/retry"),
        (["rerun", "upsert-001"], "/rerun"),
        (["rerun", "upsert-001", "--force"], "/rerun?force=true"),
    ],
)
def test_verbs(service: FakeService, capsys: Captured, arguments: list[str], asked: str) -> None:
    service.answer(f"POST /jobs/upsert-001{asked.partition('?')[0]}", JOB)
    assert run(["jobs", *arguments]) == ExitCode.OK
    assert service.asked == [(f"POST /jobs/upsert-001{asked}", None)]
    assert "succeeded (complete)" in capsys.readouterr().out


def test_search_sends_scalars_as_scalars(service: FakeService, capsys: Captured) -> None:
    hit = {"document_id": "doc-1", "score": 0.5, "text": "neural\x1b[31m nets", "payload": {"n": 3}}
    service.answer("POST /search", {"hits": [hit]})
    filters = ["--filter", "n=3", "--filter", "s=three", "--filter", 'q="3"', "--filter", "b=true", "--filter", "x=NaN"]
    assert run(["search", "embed-123", "deep learning", "--limit", "2", *filters]) == ExitCode.OK
    wanted = {"n": 3, "s": "three", "q": "3", "b": True, "x": "NaN"}
    assert service.asked[0][1] == {"collection": "embed-123", "text": "deep learning", "limit": 2, "filter": wanted}
    output = capsys.readouterr().out
    assert "doc-1" in output
    assert "\x1b" not in output


def test_nothing_found_is_said_on_standard_error(service: FakeService, capsys: Captured) -> None:
    service.answer("POST /search", {"hits": []})
    assert run(["search", "embed-123", "deep learning"]) == ExitCode.OK
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "Nothing found.\n")


@pytest.mark.parametrize("wanted", ["novalue", "=3"])
def test_a_filter_without_key_or_value_is_refused(service: FakeService, wanted: str) -> None:
    assert run(["search", "c", "t", "--filter", wanted]) == ExitCode.USAGE
    assert service.asked == []


def test_models_are_listed_deployed_and_removed(service: FakeService, capsys: Captured) -> None:
    model = {"id": "embed-123", "provider": "static", "settings": {}, "dimension": 256, "created_at": None}
    service.answer("GET /models", {"models": [model]})
    service.answer("POST /models", model, 201)
    service.answer("DELETE /models/embed-123", None, 204)
    assert (
        run(["models", "deploy", "embed-123", "--set", "dimension=128", "--set", 'text_keys=["a","b"]']) == ExitCode.OK
    )
    settings = {"dimension": 128, "text_keys": ["a", "b"]}
    assert service.asked[0][1] == {"id": "embed-123", "provider": "static", "settings": settings}
    assert run(["models", "list"]) == ExitCode.OK
    assert run(["models", "remove", "embed-123"]) == ExitCode.OK
    assert "256" in capsys.readouterr().out


def test_collections_are_listed(service: FakeService, capsys: Captured) -> None:
    collection = {"name": "embed-123", "model": "embed-123", "documents": 7, "chunks": 7, "generation": 1}
    service.answer("GET /collections", {"collections": [collection]})
    assert run(["collections"]) == ExitCode.OK
    assert "embed-123" in capsys.readouterr().out
    assert run(["collections", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"collections": [collection]}


@pytest.mark.parametrize("option", [["--url", "http://127.0.0.1:1"], ["--api-key", "im_x"], ["--json"]])
def test_options_before_a_subcommand_are_not_dropped_in_silence(
    service: FakeService, capsys: Captured, option: list[str]
) -> None:
    assert run(["collections", *option, "rebuild", "docs"]) == ExitCode.USAGE
    assert "behind `rebuild`" in capsys.readouterr().err
    assert service.asked == []


def test_a_rebuild_is_asked_for(service: FakeService, capsys: Captured) -> None:
    service.answer("POST /collections/a%2Fb/rebuild", JOB | {"kind": "rebuild", "submitted_by": "ops"}, 202)
    assert run(["collections", "rebuild", "a/b"]) == ExitCode.OK
    assert [each[0] for each in service.asked] == ["POST /collections/a%2Fb/rebuild"]
    output = capsys.readouterr().out
    assert "rebuild" in output
    assert "ops" in output
    service.answer("GET /jobs", PAGE)
    assert run(["jobs", "list", "--kind", "rebuild", "--kind", "replace_filter_attributes"]) == ExitCode.OK


@pytest.mark.parametrize(
    ("status", "body", "code", "sentence"),
    [
        (
            404,
            {"error": {"code": "job_not_found", "message": "Job with ID `x` not found"}},
            3,
            "Job with ID `x` not found",
        ),
        (409, {"error": {"code": "bodies_expired", "message": "no longer kept"}}, 5, "no longer kept"),
        (422, {"detail": [{"loc": ["query", "limit"], "msg": "too large"}]}, 2, "query.limit: too large"),
        (404, {"detail": "Task with ID `x` not found"}, 3, "Task with ID `x` not found"),
        (413, {"error": {"code": "body_too_large", "message": "too large"}}, 2, "too large"),
        (500, b"<html>", 6, "The service answered 500"),
        (200, b"<html>", 6, "is not Indexmill"),
        (200, {"hello": "world"}, 6, "is not this version of Indexmill"),
        (200, [1], 6, "is not this version of Indexmill"),
    ],
)
def test_errors_are_one_sentence_and_a_code(
    service: FakeService, capsys: Captured, *, status: int, body: Any, code: int, sentence: str
) -> None:
    service.answer("POST /jobs/x/retry", body, status)
    assert run(["jobs", "retry", "x"]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("indexmill: ")
    assert sentence in output.err
    assert output.err.count("\n") == 1


def test_an_address_where_nothing_answers(capsys: Captured) -> None:
    assert run(["jobs", "list", "--url", "http://127.0.0.1:9"]) == ExitCode.UNREACHABLE
    assert "start it with `indexmill serve`" in capsys.readouterr().err
    assert run(["jobs", "list", "--url", "localhost:80"]) == ExitCode.USAGE
    assert "url: expected an address" in capsys.readouterr().err


def test_a_search_text_of_broken_bytes_is_refused(service: FakeService) -> None:
    assert run(["search", "c", "broken \udcff"]) == ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments", [["nonesuch"], ["jobs", "list", "--limit", "0"], ["jobs", "show"], ["--nonesuch"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(arguments) == ExitCode.USAGE


def test_wrong_settings_are_one_sentence_and_2(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("INDEXMILL_SERVER__PORT", "many")
    assert run(["serve"]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("indexmill: server.port: ")
    monkeypatch.setenv("INDEXMILL_AUTH__REQUIRED", "never")
    assert run(["serve", "--port", "8081"]) == ExitCode.USAGE
    assert "auth.required" in capsys.readouterr().err


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` in this process, whose log is the test's."""
    monkeypatch.setattr("indexmill.serve.set_up_logging", lambda _: None)


@pytest.mark.usefixtures("unlogged")
def test_a_service_whose_port_is_taken_ends_before_it_makes_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("indexmill.serve._PORT_PATIENCE", 0.0)
    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        arguments = ["serve", "--port", str(taken.getsockname()[1]), "--data-folder", str(tmp_path / "data")]
        assert run(arguments) == ExitCode.SERVICE_FAILED
    output = capsys.readouterr().err
    assert output.startswith("indexmill: server.port: expected a free port")
    assert "Traceback" not in output
    assert not (tmp_path / "data" / "postgres").exists()


@pytest.mark.usefixtures("unlogged")
def test_an_end_that_is_asked_for_while_the_service_starts_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def interrupted(_: EmbeddedPostgres) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        raise ServiceError("initdb was interrupted")

    monkeypatch.setattr(EmbeddedPostgres, "start", interrupted)
    assert run(["serve", "--port", "0", "--data-folder", str(tmp_path)]) == ExitCode.OK
    assert "initdb" not in capsys.readouterr().err


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize("command", [["serve"], ["keys", "list"]])
def test_a_data_folder_that_cannot_be_made_is_one_sentence_and_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, command: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INDEXMILL_DATA_FOLDER", str(tmp_path / "file"))
    assert run(command) == ExitCode.USAGE
    output = capsys.readouterr().err
    assert output.startswith("indexmill: data_folder: expected a folder that this user can make and write to")
    assert len(output.splitlines()) == 1


def test_verbs_that_change_nothing_say_so(service: FakeService, capsys: Captured) -> None:
    service.answer("POST /jobs/upsert-001/cancel", JOB)
    service.answer("POST /jobs/upsert-001/retry", JOB)
    assert run(["jobs", "cancel", "upsert-001"]) == ExitCode.OK
    assert "nothing was changed" in capsys.readouterr().err
    assert run(["jobs", "retry", "upsert-001"]) == ExitCode.OK
    assert "jobs rerun" in capsys.readouterr().err
    service.answer("POST /jobs/other/rerun", JOB | {"state": "cancelled"})
    assert run(["jobs", "rerun", "other"]) == ExitCode.OK
    assert "jobs retry" in capsys.readouterr().err
    service.answer("POST /jobs/other/cancel", JOB | {"state": "cancelled"})
    assert run(["jobs", "cancel", "other"]) == ExitCode.OK
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("group", [[], ["jobs"], ["models"], ["collections"], ["keys"], ["tenants"]])
def test_lists_of_commands_cut_no_sentence_off(capsys: Captured, group: list[str]) -> None:
    assert run([*group, "--help"]) == ExitCode.OK
    output = capsys.readouterr().out
    assert not [line for line in output.partition("Commands:")[2].splitlines() if line.endswith("...")]


def test_flower_on_a_taken_port_is_one_sentence(capsys: Captured) -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        assert run(["flower", "--port", str(taken.getsockname()[1])]) == ExitCode.SERVICE_FAILED
    assert capsys.readouterr().err.startswith("indexmill: flower.port: expected a free port")


def test_help_names_every_command_and_exit_code(capsys: Captured) -> None:
    assert run(["--help"]) == ExitCode.OK
    output = capsys.readouterr().out
    for word in ("serve", "worker", "jobs", "search", "collections", "models", "keys", "tenants", "130"):
        assert word in output


def test_commands_that_ask_the_service_import_no_server_code() -> None:
    code = (
        "import sys; from indexmill.cli.main import run; run(['jobs', 'list', '--url', 'http://127.0.0.1:9']);"
        "print([name for name in ('pydantic', 'fastapi', 'celery', 'numpy', 'psycopg') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "[]"


def test_a_reader_that_has_enough_is_no_error(service: FakeService) -> None:
    service.answer("GET /jobs", PAGE | {"jobs": [JOB] * 1000})
    command = f"{sys.executable} -m indexmill jobs list --url {service.url} | head -1"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1
