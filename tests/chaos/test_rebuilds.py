"""A rebuild of 60,000 chunks beside readers and writers, with workers that die: recall is measured, no search fails."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from indexmill.domain.document import Version
from indexmill.domain.job_state import JobState
from indexmill.domain.outcome import ItemStatus
from indexmill.engine import Engine
from indexmill.pipeline.rebuild import Phase
from indexmill.settings import SearchSettings, Settings
from indexmill.vectors.chunk_tables import chunk_table, drop_retired
from indexmill.vectors.vector_index import VectorIndexes
from indexmill.vectors.vector_store import StagedDocument
from indexmill.worker.sweeps import vector_indexes
from tests.draining import assert_conserved, documents, rows, structural_works
from tests.rebuilding import Load, rebuilder

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

CHUNKS = 60_000
MODEL = "wordllama-256"
SUBJECTS = [
    "pump",
    "valve",
    "motor",
    "sensor",
    "turbine",
    "boiler",
    "filter",
    "bearing",
    "gasket",
    "compressor",
    "cable",
    "switch",
    "relay",
    "fuse",
    "panel",
]
VERBS = [
    "leaks",
    "overheats",
    "vibrates",
    "fails",
    "restarts",
    "stops",
    "drifts",
    "corrodes",
    "jams",
    "trips",
    "hums",
    "cracks",
]
PLACES = ["in the north hall", "behind the mill", "under the roof", "by the river", "at the gate", "near the kiln"]
CAUSES = ["after rain", "during start-up", "at full load", "since the last repair", "in frost", "without warning"]


def sentence(number: int) -> str:
    chance = random.Random(number)
    parts = [
        f"{chance.choice(SUBJECTS)} {chance.randint(1, 900)} {chance.choice(VERBS)} {chance.choice(PLACES)} "
        f"{chance.choice(CAUSES)}"
        for _ in range(chance.randint(1, 4))
    ]
    return f"Report {number}: " + "; ".join(parts)


def store(engine: Engine, texts: dict[str, str]) -> None:
    """As windows would, without their jobs."""
    seqs = itertools.count(1)
    names = iter(texts)
    while group := list(itertools.islice(names, 1000)):
        vectors = np.asarray(engine.embed(MODEL, [texts[name] for name in group]).vectors, dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        seq = next(seqs)
        staged = [
            StagedDocument(
                item=item,
                id=name,
                version=Version(0, seq * 1000 + item),
                action=ItemStatus.INDEXED,
                fingerprint=b"f" * 16,
                payload_hash=b"p" * 16,
                text=texts[name],
                vectors=vectors[item : item + 1],
                spans=((0, len(texts[name])),),
            )
            for item, name in enumerate(group)
        ]
        with engine.ledger.database.transaction() as connection:
            engine.vectors.stage(connection, staged)
            engine.vectors.write(connection, engine.collection(MODEL), staged, range(len(staged)))


def recall_at_10(engine: Engine, names: list[str], texts: dict[str, str]) -> float:
    """What searches find now, of what is nearest; other questions than those of the job, and asked in another way."""
    table = chunk_table(engine.collection(MODEL))
    found = 0
    for name in names:
        vector = "[" + ",".join(map(str, engine.embed(MODEL, [texts[name]]).vectors[0])) + "]"
        nearest = rows(
            engine,
            f"SELECT d.id FROM {table} c JOIN document d ON d.key = c.document "  # noqa: S608 - our own table
            "ORDER BY c.embedding <#> %s::vector LIMIT 10",
            vector,
        )
        hits = engine.search(MODEL, text=texts[name], limit=10)
        found += len({hit.document_id for hit in hits} & {row["id"] for row in nearest})
    return found / (10 * len(names))


def test_searches_never_fail_and_the_new_index_is_as_good(engine: Engine, settings: Settings) -> None:
    engine.deploy(MODEL, "static", {})
    texts = {f"d{number}": sentence(number) for number in range(CHUNKS)}
    store(engine, texts)
    runner = rebuilder(engine, slice_seconds=2.0)
    works = structural_works(engine)
    indexes: VectorIndexes = next(iter(works.values())).indexes  # type: ignore[attr-defined]
    upkeep = vector_indexes.sweep(engine.ledger, settings.model_copy(update={"search": SearchSettings()}), indexes)

    def sweep() -> None:
        upkeep.run()
        engine.ledger.generations.give_up_abandoned()
        drop_retired(engine.ledger.database, 0)

    chosen = random.Random(5).sample([*texts], 500)
    load = Load(engine, MODEL, {name: texts[name] for name in chosen})
    with load.running():
        jobs = [load.rebuild(runner, sweep, losses=0.1, seed=number) for number in range(2)]

    assert load.problems == []
    # All through it, but for the moment of the switch.
    long = (Phase.COPYING, Phase.INDEXING, Phase.MEASURING)
    assert min(load.searches_during[phase] for phase in long) > 0, load.searches_during
    # An index may miss a little of what is there; recall says how much.
    assert len(load.missed) <= 0.02 * load.searches
    for job in jobs:
        assert (job.state, (job.result or {})["index"]) == (JobState.SUCCEEDED, "hnsw")
        assert (job.result or {})["recall_at_10"] >= 0.98
        assert (job.result or {})["sampled"] == 200
    assert recall_at_10(engine, random.Random(7).sample([*texts], 100), texts) >= 0.97
    assert engine.collection(MODEL).ef_search is not None
    assert_conserved(engine)
    assert {name: row["text"] for name, row in documents(engine).items()} == texts | load.written
