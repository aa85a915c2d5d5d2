"""The composition root: builds the service from settings; nothing is built at import."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

from indexmill.corpora import Corpora
from indexmill.dialects.artifacts.callbacks import callback_message
from indexmill.dialects.artifacts.results import documents_told
from indexmill.dialects.artifacts.translate import ingest_response
from indexmill.domain.callback import CallbackEvent, Compose
from indexmill.domain.chunking import check_chunking
from indexmill.domain.job import Job
from indexmill.domain.knowledge_base import NewDataSource
from indexmill.domain.splitting import Splitting
from indexmill.engine import Engine
from indexmill.knowledge_bases import KnowledgeBases
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.ledger.location import database_url
from indexmill.ledger.metrics import metrics_text
from indexmill.models.model_cache import ModelCache
from indexmill.security.authentication import Authenticator
from indexmill.security.issuers import ExternalIssuer, fetch_keys
from indexmill.security.keyring import LateKeyring
from indexmill.security.limits import Limits
from indexmill.security.page_keys import PageKeys
from indexmill.security.secret_box import SecretBox
from indexmill.security.signed_urls import UrlSigner
from indexmill.security.start_check import is_always_required
from indexmill.security.tokens import Tokens
from indexmill.settings import Settings
from indexmill.sources.data_source_check import check_data_source
from indexmill.sources.http_client import HttpClient
from indexmill.sources.spool import Spool, open_spool
from indexmill.sources.upload_store import UploadStore, open_upload_store
from indexmill.sources.uri import Sources, open_sources
from indexmill.vectors.pgvector_store import PgvectorStore
from indexmill.worker.sweep_loop import SweepLoop
from indexmill.worker.sweeps import all_sweeps, callback_sweeps, index_sweeps
from indexmill.worker.waker import Waker

__all__ = ["DEFAULT_MODEL", "Service", "build_service", "compose_callbacks", "deploy_default_model"]

#: What a service without any model deploys at its first start.
DEFAULT_MODEL = "wordllama-256"


@dataclass
class Service:
    """The engine with what keeps it going in this process: the waker and the sweeps."""

    settings: Settings
    ledger: Ledger
    engine: Engine
    spool: Spool
    sources: Sources
    waker: Waker
    sweeps: SweepLoop
    #: Apart from the others: it waits for a broker that others run.
    callbacks: SweepLoop
    knowledge_bases: KnowledgeBases
    url_signer: UrlSigner
    upload_store: UploadStore
    #: Apart too: building an index takes as long as it takes.
    indexes: SweepLoop
    authenticator: Authenticator
    limits: Limits
    page_keys: PageKeys
    corpora: Corpora

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        self.waker.start()
        self.sweeps.start()
        self.callbacks.start()
        self.indexes.start()

    def close(self) -> None:
        self.indexes.stop()
        self.callbacks.stop()
        self.sweeps.stop()
        self.waker.stop()
        self.ledger.database.close()

    def readiness(self) -> dict[str, str | None]:
        """Each part: None where it is ready, else what is missing. `broker` does not stop submissions."""
        if not self.ledger.database.is_ready():
            return {"database": "the database does not answer", "broker": self.waker.problem, "workers": "not known"}
        slots = self.ledger.workload.ready().slots
        return {
            "database": None,
            "broker": self.waker.probe(),
            "workers": None if slots else "no worker has reported in the last 10 seconds; start `indexmill worker`",
        }

    def metrics(self) -> bytes:
        return metrics_text(self.ledger.workload)


def build_service(settings: Settings, url: str | None = None) -> Service:
    """A service on a migrated database; the caller starts and closes it."""
    ledger = open_ledger(url or database_url(settings), settings)
    waker = Waker(settings, ledger.workload)
    vectors = PgvectorStore(ledger.database, settings.server.search_timeout_seconds)
    spool, sources = open_spool(settings), open_sources(settings)
    sweeps = SweepLoop(ledger.sweeps, all_sweeps(ledger, settings, waker.top_up, spool, sources))
    callbacks = SweepLoop(ledger.sweeps, callback_sweeps(ledger, settings, compose_callbacks(ledger)), "callbacks")
    keyring, uploads = LateKeyring(settings), open_upload_store(settings)
    limits = Limits(ledger.tenants, settings.limits)
    engine = Engine(
        ledger, vectors, ModelCache(), waker.wake, settings.models.allow_faults, check_queue=limits.check_items
    )
    return Service(
        settings=settings,
        ledger=ledger,
        engine=engine,
        spool=spool,
        sources=sources,
        waker=waker,
        sweeps=sweeps,
        callbacks=callbacks,
        indexes=SweepLoop(ledger.sweeps, index_sweeps(ledger, settings), "indexes"),
        knowledge_bases=_knowledge_bases(engine, settings, SecretBox(keyring), sources, uploads),
        url_signer=UrlSigner(keyring),
        upload_store=uploads,
        authenticator=_authenticator(engine, settings, keyring),
        limits=limits,
        page_keys=PageKeys(keyring),
        corpora=_corpora(engine, settings),
    )


def _corpora(engine: Engine, settings: Settings) -> Corpora:
    made_with = settings.artifacts
    return Corpora(engine, made_with.model, Splitting(made_with.chunk_tokens, made_with.chunk_overlap).name)


def _knowledge_bases(
    engine: Engine, settings: Settings, box: SecretBox, sources: Sources, uploads: UploadStore
) -> KnowledgeBases:
    def check(wanted: NewDataSource, tenant: int) -> None:
        check_chunking(wanted.chunking)
        check_data_source(wanted, settings, sources, uploads, tenant)

    return KnowledgeBases(engine, box.seal, check)


def _authenticator(engine: Engine, settings: Settings, keyring: LateKeyring) -> Authenticator:
    client = HttpClient(settings.sources)
    ledger = engine.ledger
    return Authenticator(
        ledger.api_keys,
        ledger.tenants,
        Tokens(keyring),
        {
            each.issuer: ExternalIssuer(each, partial(fetch_keys, client, each.jwks_url))
            for each in settings.auth.issuers
        },
        is_always_required=is_always_required(settings),
        welcome=lambda tenant: _deploy_default_model(engine.of(tenant)),
    )


def compose_callbacks(ledger: Ledger) -> Compose:
    """What makes the messages about jobs: the front door that takes callbacks."""
    engine = Engine(ledger, PgvectorStore(ledger.database), ModelCache(), lambda: None)

    def response(job: Job, event: CallbackEvent) -> dict[str, Any]:
        return ingest_response(documents_told(job, event, engine.of(job.tenant)))

    return partial(callback_message, ingest_response=response)


def deploy_default_model(service: Service) -> None:
    """A fresh service has a model, so that the first request can be answered; so has every tenant."""
    _deploy_default_model(service.engine)


def _deploy_default_model(engine: Engine) -> None:
    if not engine.has_collections():
        engine.deploy(DEFAULT_MODEL, "static", {})
