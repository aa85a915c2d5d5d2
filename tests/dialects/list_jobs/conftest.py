"""Clients of this door over a real ledger and a fake of the verbs of corpora; answers are read as the vendor's are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import psycopg
import pytest
from psycopg import sql
from starlette.testclient import TestClient

from indexmill.engine import Engine
from indexmill.http.app import create_app
from indexmill.http.service import Service
from indexmill.ledger.ledger import open_ledger
from indexmill.ledger.tenants import Tenants
from indexmill.models.model_cache import ModelCache
from indexmill.security.keyring import Keyring
from indexmill.security.limits import Limits
from indexmill.security.page_keys import PageKeys
from indexmill.settings import DatabaseSettings, ListJobsSettings, ServerSettings, Settings
from indexmill.sources.spool import open_spool
from indexmill.sources.uri import open_sources
from indexmill.vectors.pgvector_store import PgvectorStore
from tests.dialects.list_jobs import vendor_models as vendor
from tests.dialects.list_jobs.fake_corpora import FakeCorpora
from tests.served_app import served
from tests.unit.http.fake_service import FakeTenants, open_authenticator

ModelT = TypeVar("ModelT", bound=vendor.Vendor)


class ListJobsService:
    """The ledger, the engine and the spool are real, the verbs of corpora are not."""

    knowledge_bases: Any = None
    url_signer: Any = None
    upload_store: Any = None

    def __init__(self, engine: Engine, folder: Path, default_states: Any = "all") -> None:
        self.settings = Settings(
            data_folder=folder,
            server=ServerSettings(port=0),
            database=DatabaseSettings(pool_size=4),
            list_jobs=ListJobsSettings(default_states=default_states),
        )
        self.engine = engine
        self.corpora = FakeCorpora(engine)
        self.page_keys = PageKeys(Keyring((b"k" * 32,)))
        self.spool = open_spool(self.settings)
        self.sources = open_sources(self.settings)
        self.authenticator = open_authenticator()
        self.limits = Limits(cast("Tenants", FakeTenants()), self.settings.limits)

    def readiness(self) -> dict[str, str | None]:
        return {}

    def metrics(self) -> bytes:
        return b""


@dataclass
class Checked:
    """Sends requests, and reads answers only as the vendor's clients may."""

    http: TestClient

    def v1(self, model: type[ModelT], path: str, body: Any = None, **options: Any) -> ModelT:
        answer = self.http.post(f"/v1/{path}", **_with_body(body, options))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return model.model_validate(answer.json())

    def v1_refused(self, status: int, code: int, path: str, body: Any = None, **options: Any) -> str:
        answer = self.http.post(f"/v1/{path}", **_with_body(body, options))
        assert answer.status_code == status, answer.text
        problem = vendor.V1Problem.model_validate(answer.json())
        assert (problem.code, problem.details) == (code, [])
        return problem.message

    def v2(self, model: type[ModelT], method: str, path: str, body: Any = None, **options: Any) -> ModelT:
        expected = options.pop("expected", 200)
        answer = self.http.request(method, f"/v2/{path}", **_with_body(body, options))
        assert answer.status_code == expected, answer.text
        return model.model_validate(answer.json())

    def v2_done(self, method: str, path: str, **options: Any) -> None:
        answer = self.http.request(method, f"/v2/{path}", **options)
        assert (answer.status_code, answer.content) == (204, b"")

    def v2_refused(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = self.http.request(method, f"/v2/{path}", **_with_body(body, options))
        assert answer.status_code == status, answer.text
        return vendor.V2_PROBLEMS.get(status, vendor.V2Problem).model_validate(answer.json())


def _with_body(body: Any, options: dict[str, Any]) -> dict[str, Any]:
    return options if body is None else {**options, "json": body}


@contextmanager
def _engine_on(postgres_url: str, name: str) -> Iterator[tuple[Engine, str]]:
    """An engine over a database of its own."""
    base, _, query = postgres_url.partition("?")
    url = f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    identifier, template = sql.Identifier(name), sql.Identifier("template_indexmill")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(identifier, template))
        settings = Settings(database=DatabaseSettings(url=url, direct_url=url))
        ledger = open_ledger(url, settings)
        engine = Engine(ledger, PgvectorStore(ledger.database), ModelCache(), lambda: None)
        engine.deploy("tiny", "deterministic", {"dimension": 8})
        try:
            yield engine, url
        finally:
            ledger.database.close()
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


@pytest.fixture(scope="package")
def _shared(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ListJobsService, TestClient]]:
    """One ledger and one app for all tests: making them takes longer than most of these."""
    with _engine_on(postgres_url, f"list_jobs_{os.getpid()}") as (engine, _):
        service = ListJobsService(engine, tmp_path_factory.mktemp("data"))
        app = create_app(cast("Service", service))
        with TestClient(app, base_url="http://localhost:8080", raise_server_exceptions=False) as client:
            yield service, client


@pytest.fixture
def service(_shared: tuple[ListJobsService, TestClient]) -> ListJobsService:
    """Without jobs, and without corpora."""
    found = _shared[0]
    with found.engine.ledger.database.connection() as connection:
        connection.execute("DELETE FROM failed_item")
        connection.execute("DELETE FROM job")
        connection.execute(
            "DELETE FROM collection c WHERE c.name <> 'tiny' AND NOT EXISTS (SELECT FROM job WHERE collection = c.id)"
        )
    found.corpora.__init__(found.engine)  # type: ignore[misc]  # as new
    return found


@pytest.fixture
def engine(service: ListJobsService) -> Engine:
    return service.engine


@pytest.fixture
def verbs(service: ListJobsService) -> FakeCorpora:
    return service.corpora


@pytest.fixture
def http(service: ListJobsService, _shared: tuple[ListJobsService, TestClient]) -> TestClient:
    return _shared[1]


@pytest.fixture
def send(http: TestClient) -> Checked:
    return Checked(http)


@pytest.fixture
def corpus(send: Checked) -> int:
    """The number of the corpus `handbook`."""
    return send.v1(vendor.CreatedCorpus, "create-corpus", {"corpus": {"name": "handbook"}}).corpus_id


@pytest.fixture
def set_job(engine: Engine) -> Callable[..., None]:
    """Writes columns of a job's row: no worker runs here."""

    def write(job_id: Any, **columns: Any) -> None:
        names = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(each), sql.Placeholder(each)) for each in columns
        )
        statement = sql.SQL("UPDATE job SET {} WHERE id = %(job)s").format(names)
        with engine.ledger.database.connection() as connection:
            assert connection.execute(statement, {**columns, "job": job_id}).rowcount == 1

    return write


@pytest.fixture
def serve(service: ListJobsService) -> Iterator[str]:
    """The app on a port of its own."""
    with served(service) as url:
        yield url
