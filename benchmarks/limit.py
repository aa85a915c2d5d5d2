"""The limit: what one simple script reaches that embeds the same texts and copies them into one table."""

from __future__ import annotations

import json
import time

import psycopg

from benchmarks.documents import documents, texts
from indexmill.domain.document import Version
from indexmill.domain.outcome import ItemStatus
from indexmill.models.static import StaticModel
from indexmill.pipeline.embed import embed_texts
from indexmill.vectors.binary_copy import COLUMNS, copy_bytes
from indexmill.vectors.vector_store import StagedDocument

__all__ = ["embed_alone", "embed_and_copy"]

_BATCH = 256


def embed_alone(model: StaticModel, count: int, seed: int) -> float:
    """Documents a second: batches of 256, sorted by length into calls of 64."""
    prepared = texts(count, seed)
    started = time.perf_counter()
    for first in range(0, count, _BATCH):
        embed_texts(model, prepared[first : first + _BATCH], check=lambda: None)
    return count / (time.perf_counter() - started)


def embed_and_copy(model: StaticModel, url: str, count: int, seed: int) -> float:
    """Documents a second: as `embed_alone`, then binary COPY of each batch, one commit each; no ledger, no HTTP."""
    body = json.dumps({"items": documents(count, seed)})
    with psycopg.connect(url) as connection:
        oid = _make_table(connection, model.dimension)
        started = time.perf_counter()
        items = json.loads(body)["items"]
        for first in range(0, count, _BATCH):
            _copy(connection, model, items[first : first + _BATCH], first, oid)
            connection.commit()
        seconds = time.perf_counter() - started
        connection.execute("DROP TABLE benchmark_limit")
    return count / seconds


def _make_table(connection: psycopg.Connection[tuple[object, ...]], dimension: int) -> int:
    connection.execute(
        "CREATE TABLE benchmark_limit (item int, id text PRIMARY KEY, seq bigint, position bigint, outcome smallint,"
        " fingerprint bytea, payload_hash bytea, text text, payload jsonb, item_info jsonb, starts bigint[],"
        " ends bigint[], embeddings vector[])"
    )
    connection.commit()
    row = connection.execute("SELECT 'vector'::regtype::oid::integer").fetchone()
    assert row is not None and isinstance(row[0], int), dimension
    return row[0]


def _copy(connection: psycopg.Connection[tuple[object, ...]], model: StaticModel, items: list, first: int, oid: int) -> None:  # type: ignore[type-arg]
    embedded = embed_texts(model, [item["payload"]["text"] for item in items], check=lambda: None)
    staged = [
        StagedDocument(
            item=first + number,
            id=item["object_id"],
            version=Version(1, first + number),
            action=ItemStatus.INDEXED,
            text=item["payload"]["text"],
            payload=json.dumps(item["payload"]),
            vectors=embedded.vectors[number][None, :],  # type: ignore[index]
            spans=((0, len(item["payload"]["text"])),),
        )
        for number, item in enumerate(items)
    ]
    columns = ", ".join(COLUMNS)
    with connection.cursor().copy(f"COPY benchmark_limit ({columns}) FROM STDIN (FORMAT binary)") as copy:
        for piece in copy_bytes(staged, oid):
            copy.write(piece)
