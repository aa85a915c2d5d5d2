"""Drives windows in the test's own process: submit, claim, run, and what must hold whatever happened."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from indexmill.domain.failure import Failure
from indexmill.domain.job import BatchWork, Item, Job, JobKind, Submission
from indexmill.domain.outcome import Counters
from indexmill.engine import Engine
from indexmill.ledger import database as ledger_database
from indexmill.ledger.claims import Claim
from indexmill.ledger.ledger import Ledger
from indexmill.pipeline import compare
from indexmill.pipeline.read_documents import open_document_reader
from indexmill.pipeline.rebuild import Rebuild
from indexmill.pipeline.replace_attributes import ReplaceAttributes
from indexmill.pipeline.run_window import WindowOutcome, WindowRunner
from indexmill.pipeline.scan import SourceScan
from indexmill.pipeline.structural_work import StructuralWork
from indexmill.settings import SearchSettings, Settings
from indexmill.vectors import statements
from indexmill.vectors.vector_index import open_indexes

__all__ = [
    "PLENTY",
    "Deploy",
    "alter_query",
    "always_ask",
    "assert_conserved",
    "claim_next",
    "claim_only",
    "claimed",
    "delete",
    "documents",
    "drain",
    "embedded_texts",
    "execute",
    "expire",
    "failures",
    "hold_back",
    "items_of",
    "job_of",
    "let_go",
    "log_path",
    "lose",
    "once",
    "rescue",
    "rows",
    "run",
    "run_last_submitted_first",
    "runner_of",
    "structural_works",
    "submit",
    "upsert",
    "waiting_for_locks",
    "wake",
]

#: Bytes that take every ready batch.
PLENTY = 1 << 40
#: The fixture `deploy`: takes the options of a deterministic model, gives its id.
Deploy = Callable[..., str]
_workers = itertools.count(1)


# Submitting


def items_of(texts: dict[str, str] | Sequence[tuple[str, str]]) -> list[Item]:
    pairs = texts.items() if isinstance(texts, dict) else texts
    return [Item(name, {"text": text}) for name, text in pairs]


def submit(
    engine: Engine,
    items: Iterable[Item],
    *,
    external_id: str | None = None,
    model: str = "tiny",
    kind: JobKind = JobKind.UPSERTION,
) -> Job:
    return engine.submit(Submission(kind, model, items, external_id)).job


def upsert(engine: Engine, texts: dict[str, str] | Sequence[tuple[str, str]], **options: Any) -> Job:
    """Submit documents by id and text."""
    return submit(engine, items_of(texts), **options)


def delete(engine: Engine, ids: Iterable[str], **options: Any) -> Job:
    return submit(engine, [Item(name) for name in ids], kind=JobKind.DELETION, **options)


def job_of(engine: Engine, job: Job) -> Job:
    """The job as it is now."""
    return engine.find(str(job.id))


# Running


def runner_of(engine: Engine, ledger: Ledger | None = None, **changes: Any) -> WindowRunner:
    """A worker process's runner; each has a name of its own."""
    ledger = ledger or engine.ledger
    nowhere = Settings(data_folder=Path("/no/data/folder"))
    documents = changes.get("documents") or open_document_reader(nowhere, ledger)
    values: dict[str, Any] = {
        "documents": documents,
        "scan": SourceScan(ledger, documents.data_sources),
        "structural": structural_works(engine),
        "worker": f"test/{next(_workers)}",
        "max_tries": 8,
        "max_text_bytes": 1_000_000,
        "deadline_seconds": 20.0,
    }
    return WindowRunner(ledger, engine.vectors, engine.models, **{**values, **changes})


def structural_works(engine: Engine, **search: Any) -> dict[BatchWork, StructuralWork]:
    """What changes whole collections. `search`: settings that are not the default ones."""
    ledger = engine.ledger
    settings = Settings(data_folder=Path("/no/data/folder"), search=SearchSettings(**search))
    indexes = replace(open_indexes(ledger, settings), is_direct=True)
    return {
        BatchWork.REBUILD: Rebuild(ledger, engine.vectors, indexes, settings.search),
        BatchWork.REPLACE: ReplaceAttributes(ledger, engine.vectors.attribute_sets),
    }


def claim_next(engine: Engine, max_bytes: int = PLENTY, worker: str = "test/claim") -> Claim | None:
    """The ready batches of the lane whose turn it is."""
    heads = engine.ledger.claims.lane_heads()
    return engine.ledger.claims.claim(heads[0].lane, worker, max_bytes) if heads else None


def claimed(engine: Engine) -> Claim:
    """As `claim_next`, where something is ready for certain."""
    claim = claim_next(engine)
    assert claim is not None
    return claim


def run(engine: Engine, claim: Claim, runner: WindowRunner | None = None) -> WindowOutcome:
    return (runner or runner_of(engine)).run(claim, lambda: True)


def drain(engine: Engine, runner: WindowRunner | None = None, max_bytes: int = PLENTY) -> list[WindowOutcome]:
    """Run windows until nothing is ready; what became of each."""
    runner = runner or runner_of(engine)
    outcomes: list[WindowOutcome] = []
    while (claim := claim_next(engine, max_bytes)) is not None:
        outcomes.append(runner.run(claim, lambda: True))
        assert len(outcomes) < 1000, "the drain does not end"
    return outcomes


def run_last_submitted_first(engine: Engine) -> None:
    """One batch a window, in the opposite of the order of submission."""
    while True:
        found = rows(
            engine,
            "SELECT b.job, b.ordinal, b.lane FROM batch b JOIN job j ON j.id = b.job "
            "WHERE b.state = 'ready' ORDER BY j.seq DESC, b.ordinal DESC LIMIT 1",
        )
        if not found:
            return
        run(engine, claim_only(engine, found[0]["lane"], [(found[0]["job"], found[0]["ordinal"])]))


def claim_only(engine: Engine, lane: str, keys: Sequence[tuple[UUID, int]]) -> Claim:
    """Claim these ready batches: the others look meanwhile as if they were not there yet."""
    jobs, ordinals = [job for job, _ in keys], [ordinal for _, ordinal in keys]
    execute(
        engine,
        "UPDATE batch SET state = 'waiting', available_at = 'infinity' WHERE state = 'ready' AND NOT (job, ordinal) "
        "IN (SELECT * FROM unnest(%s::uuid[], %s::integer[]))",
        jobs,
        ordinals,
    )
    claim = engine.ledger.claims.claim(lane, "test/chosen", PLENTY)
    execute(
        engine,
        "UPDATE batch SET state = 'ready', available_at = now() WHERE state = 'waiting' AND available_at = 'infinity'",
    )
    assert claim is not None
    return claim


def hold_back(engine: Engine, job: Job) -> None:
    """Nobody gets the job's batches until `let_go`: it stays open."""
    execute(
        engine, "UPDATE batch SET state = 'waiting', available_at = now() + interval '1 day' WHERE job = %s", job.id
    )


def let_go(engine: Engine, job: Job) -> None:
    execute(engine, "UPDATE batch SET state = 'ready', available_at = now() WHERE job = %s", job.id)


def execute(engine: Engine, statement: str, *values: object) -> int:
    """Run a statement of the test's own; how many rows it touched."""
    with engine.ledger.database.connection() as connection:
        return connection.execute(statement, values).rowcount


def rows(engine: Engine, statement: str, *values: object) -> list[dict[str, Any]]:
    with engine.ledger.database.connection() as connection:
        return connection.execute(statement, values).fetchall()


def expire(engine: Engine, claim: Claim, *, past_deadline: bool = False) -> None:
    """The lease's time is up, as if its worker had fallen silent."""
    deadline = "now() - interval '1 ms'" if past_deadline else "deadline_at"
    changed = execute(
        engine,
        f"UPDATE lease SET expires_at = now() - interval '1 ms', deadline_at = {deadline} WHERE token = %s",  # noqa: S608
        claim.token,
    )
    assert changed == 1, "the lease is gone"


def lose(engine: Engine, claim: Claim, *, position: int | None = None, past_deadline: bool = False) -> int:
    """The worker dies while it holds the claim (on that item, where one is given), and its lease is rescued."""
    if position is not None:
        engine.ledger.leases.note_position(claim.token, position)
    expire(engine, claim, past_deadline=past_deadline)
    return rescue(engine)


def rescue(engine: Engine) -> int:
    """One rescue sweep; the server of the tests may have started a moment ago, so it waits for no outage."""
    return replace(engine.ledger.leases, lease_seconds=0).rescue()


def wake(engine: Engine) -> int:
    """The backoff of whatever waits is over; how many batches are ready again."""
    execute(engine, "UPDATE batch SET available_at = now() WHERE state = 'waiting'")
    return engine.ledger.workload.wake_waiting()


# Looking


def failures(engine: Engine, job: Job) -> dict[str, Failure]:
    """The failed items of the job by id."""
    return {failure.object_id: failure for failure in engine.failed_items(job, limit=1000)}


def documents(engine: Engine) -> dict[str, dict[str, Any]]:
    """The living documents by id, each with its chunks' vectors."""
    found = rows(engine, "SELECT * FROM document WHERE deleted_at IS NULL ORDER BY id")
    tables = {row["id"]: f"chunk_{row['id']}_{row['generation']}" for row in rows(engine, "SELECT * FROM collection")}
    for row in found:
        table = tables[row["collection"]]
        chunks = rows(
            engine,
            f"SELECT ordinal, embedding::text AS embedding FROM {table} WHERE document = %s ORDER BY ordinal",  # noqa: S608
            row["key"],
        )
        row["vectors"] = [chunk["embedding"] for chunk in chunks]
    return {row["id"]: row for row in found}


def assert_conserved(engine: Engine) -> None:
    """What must hold at every moment: items in = outcomes, no counter below zero, no document half written."""
    names = [field for field in Counters.__dataclass_fields__ if field not in {"chunks", "tokens", "embedded"}]
    total = " + ".join(f"b.{name}" for name in names)
    least = ", ".join(f"b.{name}" for name in names)
    for batch in rows(engine, f"SELECT b.*, {total} AS decided, least({least}) AS smallest FROM batch b"):  # noqa: S608
        assert batch["smallest"] >= 0, batch
        assert batch["decided"] <= batch["items"], batch
        if batch["state"] in {"done", "cancelled"}:
            assert batch["decided"] == batch["items"], batch
    jobs = rows(engine, "SELECT * FROM job WHERE state <> 'receiving'")
    for job in jobs:
        of_job = rows(engine, "SELECT coalesce(sum(items), 0) AS items FROM batch WHERE job = %s", job["id"])
        assert of_job[0]["items"] == job["total_items"], job
        if job["finished_at"] is not None:
            assert sum(job[name] for name in names) == job["total_items"], job
            stored = rows(engine, "SELECT count(*) AS n FROM failed_item WHERE job = %s", job["id"])[0]["n"]
            assert stored == job["failed"], job
    for document in rows(engine, "SELECT * FROM document"):
        collection = rows(engine, "SELECT * FROM collection WHERE id = %s", document["collection"])[0]
        table = f"chunk_{collection['id']}_{collection['generation']}"
        stored = rows(engine, f"SELECT count(*) AS n FROM {table} WHERE document = %s", document["key"])[0]["n"]  # noqa: S608
        assert stored == document["chunks"], document
        assert bool(document["chunks"]) == (document["deleted_at"] is None), document


def waiting_for_locks(engine: Engine) -> int:
    """How many locks of this database somebody waits for."""
    found = rows(
        engine,
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    return int(found[0]["n"])


def log_path(folder: Path) -> str:
    return str(folder / "embedded.log")


def embedded_texts(folder: Path) -> list[str]:
    """Hashes of the texts that the deterministic model was given, in order."""
    path = Path(log_path(folder))
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


# Breaking


def always_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small windows, too, ask whether something older may still come."""
    monkeypatch.setattr(compare, "_FEW_ITEMS", 1)


def lose_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every transaction that would be repeated is: it was committed, and its answer lost."""
    repeat = ledger_database.Database.repeat

    def twice(
        self: ledger_database.Database, work: Callable[[ledger_database.Connection], Any], patience: float | None = None
    ) -> Any:
        repeat(self, work, patience)
        return repeat(self, work, patience)

    monkeypatch.setattr(ledger_database.Database, "repeat", twice)


def alter_query(monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    """A broken build: one query, of the ledger or of the vectors, with a part of it replaced."""
    for module in (ledger_database, statements):
        monkeypatch.setattr(module, "query_text", _altered(module.query_text, name, old, new))


def _altered(original: Callable[[str, str], Any], name: str, old: str, new: str) -> Callable[[str, str], Any]:
    def query_text(package: str, wanted: str) -> Any:
        text = original(package, wanted)
        if wanted != name:
            return text
        assert old in text, f"{name}.sql does not hold {old!r} any more"
        return text.replace(old, new)

    return query_text


def once(action: Callable[[], object]) -> Callable[[], None]:
    """Calls the action the first time only."""
    pending = [action]

    def call() -> None:
        if pending:
            pending.pop()()

    return call
