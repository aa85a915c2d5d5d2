"""Schemathesis against the OpenAPI document, with the real engine and database: no 5xx, nothing undocumented."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from indexmill.corpora import Corpora
from indexmill.dialects.indexing_jobs.verbs import KnowledgeBaseVerbs
from indexmill.domain.pending import Pending
from indexmill.engine import Engine
from indexmill.http.app import create_app
from indexmill.http.service import Service
from indexmill.knowledge_bases import KnowledgeBases
from indexmill.ledger.tenants import Tenants
from indexmill.security.keyring import Keyring
from indexmill.security.limits import Limits
from indexmill.security.page_keys import PageKeys
from indexmill.security.signed_urls import UrlSigner
from indexmill.settings import ArtifactSettings, Settings
from indexmill.sources.spool import open_spool
from indexmill.sources.upload_store import open_upload_store
from indexmill.sources.uri import open_sources
from tests.unit.http.fake_service import FakeTenants, open_authenticator


def no_server_error(context: Any, response: Any, case: Any) -> bool | None:
    """As `not_a_server_error`; but no job ends here, so a request that waits for one says that it has waited enough."""
    return None if response.status_code == 504 else not_a_server_error(context, response, case)


CHECKS = [no_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


T = TypeVar("T")


class LateEngine:
    """Stands in for the verbs while the document is read; each test puts those over its own database in."""

    engine: Any = None

    def __getattr__(self, verb: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(self.engine, verb)(*args, **kwargs)

        return call


class ImpatientCorpora(Corpora):
    """Nobody ends a job here, so nobody waits long for one."""

    def put(self, *given: Any) -> Any:
        return _soon(super().put(*given))

    def put_file(self, *given: Any) -> Any:
        return _soon(super().put_file(*given))

    def remove(self, *given: Any) -> Any:
        return _soon(super().remove(*given))

    def bulk_remove(self, *given: Any) -> Any:
        return _soon(super().bulk_remove(*given))


def _soon(pending: Pending[T]) -> Pending[T]:
    return replace(pending, seconds=0.02)


class LateService:
    """What the app needs; jobs stay queued, because no worker runs."""

    #: Nobody ends a job here, so nobody waits long for one.
    settings = Settings(
        data_folder=Path(tempfile.mkdtemp(prefix="indexmill-conformance-")),
        artifacts=ArtifactSettings(model="embed-123", sync_timeout_seconds=0.05),
    )
    engine = LateEngine()
    spool = open_spool(settings)
    sources = open_sources(settings)
    knowledge_bases = LateEngine()
    url_signer = UrlSigner(Keyring((b"k" * 32,)))
    upload_store = open_upload_store(settings)
    authenticator = open_authenticator()
    limits = Limits(cast("Tenants", FakeTenants()), settings.limits)
    corpora = LateEngine()
    page_keys = PageKeys(Keyring((b"k" * 32,)))

    def readiness(self) -> dict[str, str | None]:
        return {"database": None}

    def metrics(self) -> bytes:
        return b""


# Made at import: the loader that takes a fixture does not work with this pytest.
service = LateService()
schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(cast("Service", service)))


@pytest.fixture(scope="module", autouse=True)
def _own_folder() -> Iterator[None]:
    yield
    shutil.rmtree(service.settings.data_folder)


@pytest.fixture(autouse=True)
def _own_database(engine: Engine) -> Iterator[None]:
    engine.deploy("embed-123", "deterministic", {"dimension": 8})
    service.engine.engine = engine
    verbs: KnowledgeBaseVerbs = KnowledgeBases(engine, lambda *_: b"", lambda *_: None)
    service.knowledge_bases.engine = verbs
    corpora = ImpatientCorpora(engine, "embed-123", "tokens-8-0")
    corpora.create("my-corpus", "Mine")
    service.corpora.engine = corpora
    yield
    service.engine.engine = service.knowledge_bases.engine = service.corpora.engine = None


#: Front door 4 has as many operations as all the others: fewer examples of each.
_MANY = r"^/v1/([a-z]+-[a-z-]+|core/index|index|query|upload)$|^/v2/(jobs|corpora|query)"
_SETTINGS: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.explicit, Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@schema.exclude(path_regex=_MANY).parametrize()
@hypothesis_settings(max_examples=8, **_SETTINGS)
def test_every_operation_answers_as_documented(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(checks=CHECKS)


@schema.include(path_regex=_MANY).parametrize()
@hypothesis_settings(max_examples=4, **_SETTINGS)
def test_every_operation_on_all_jobs_and_corpora_answers_as_documented(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(checks=CHECKS)
