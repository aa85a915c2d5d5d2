"""The composition root: builds the service from settings; nothing is built at import."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from indexmill.engine import Engine
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.ledger.location import database_url
from indexmill.ledger.metrics import metrics_text
from indexmill.models.model_cache import ModelCache
from indexmill.settings import Settings
from indexmill.sources.spool import Spool, open_spool
from indexmill.sources.uri import Sources, open_sources
from indexmill.vectors.pgvector_store import PgvectorStore
from indexmill.worker.sweep_loop import SweepLoop
from indexmill.worker.sweeps import all_sweeps
from indexmill.worker.waker import Waker

__all__ = ["DEFAULT_MODEL", "Service", "build_service", "deploy_default_model"]

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

    def close(self) -> None:
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
    engine = Engine(ledger, vectors, ModelCache(), waker.wake, settings.models.allow_faults)
    spool, sources = open_spool(settings), open_sources(settings)
    sweeps = SweepLoop(ledger.sweeps, all_sweeps(ledger, settings, waker.top_up, spool, sources))
    return Service(settings, ledger, engine, spool, sources, waker, sweeps)


def deploy_default_model(service: Service) -> None:
    """A fresh service has a model, so that the first request can be answered."""
    if not service.engine.has_collections():
        service.engine.deploy(DEFAULT_MODEL, "static", {})
