"""The limit: what one simple script reaches that embeds the same texts and copies them into one table."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import psycopg
import wordllama

from benchmarks.documents import documents, texts
from indexmill.domain.document import Version
from indexmill.domain.outcome import ItemStatus
from indexmill.models.embedding_model import Embeddings
from indexmill.models.unit_vectors import normalised
from indexmill.pipeline.embed import SUB_BATCH
from indexmill.vectors.binary_copy import COLUMNS, copy_bytes
from indexmill.vectors.vector_store import StagedDocument

__all__ = ["embed_alone", "embed_and_copy", "wordllama_embed"]

_BATCH = 256
Embed: TypeAlias = Callable[[list[str]], Embeddings]


def wordllama_embed() -> Embed:
    """What a script has without Indexmill: the library's own `embed`."""
    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)

    def embed(texts: list[str]) -> Embeddings:
        return Embeddings(model.embed(texts, batch_size=len(texts)), np.zeros(len(texts), dtype=np.uint32))

    return embed


def _vectors(embed: Embed, texts: list[str]) -> npt.NDArray[np.float32]:
    """Unit vectors of a batch, sorted by length into calls of 64."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    parts = [
        embed([texts[index] for index in order[i : i + SUB_BATCH]]).vectors for i in range(0, len(order), SUB_BATCH)
    ]
    vectors = np.empty_like(np.concatenate(parts))
    vectors[order] = normalised(np.concatenate(parts))[0]
    return vectors


def embed_alone(embed: Embed, count: int, seed: int) -> float:
    """Documents a second: batches of 256, sorted by length into calls of 64."""
    prepared = texts(count, seed)
    started = time.perf_counter()
    for first in range(0, count, _BATCH):
        _vectors(embed, prepared[first : first + _BATCH])
    return count / (time.perf_counter() - started)


def embed_and_copy(embed: Embed, url: str, count: int, seed: int) -> float:
    """Documents a second: as `embed_alone`, then binary COPY of each batch, one commit each; no ledger, no HTTP."""
    body = json.dumps({"items": documents(count, seed)})
    with psycopg.connect(url) as connection:
        oid = _make_table(connection)
        started = time.perf_counter()
        items = json.loads(body)["items"]
        for first in range(0, count, _BATCH):
            _copy(connection, embed, items[first : first + _BATCH], first, oid)
            connection.commit()
        seconds = time.perf_counter() - started
        connection.execute("DROP TABLE benchmark_limit")
    return count / seconds


def _make_table(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    connection.execute(
        "CREATE TABLE benchmark_limit (item int, id text PRIMARY KEY, seq bigint, position bigint, outcome smallint,"
        " fingerprint bytea, payload_hash bytea, text text, payload jsonb, item_info jsonb, structure jsonb,"
        " parts jsonb, starts bigint[], ends bigint[], chunk_parts bigint[], embeddings vector[])"
    )
    connection.commit()
    row = connection.execute("SELECT 'vector'::regtype::oid::integer").fetchone()
    return int(str(row[0])) if row is not None else 0


def _copy(
    connection: psycopg.Connection[tuple[object, ...]], embed: Embed, items: list[dict[str, Any]], first: int, oid: int
) -> None:
    vectors = _vectors(embed, [item["payload"]["text"] for item in items])
    staged = [
        StagedDocument(
            item=first + number,
            id=item["object_id"],
            version=Version(1, first + number),
            action=ItemStatus.INDEXED,
            text=item["payload"]["text"],
            payload=json.dumps(item["payload"]),
            vectors=vectors[number][np.newaxis, :],
            spans=((0, len(item["payload"]["text"])),),
        )
        for number, item in enumerate(items)
    ]
    columns = ", ".join(COLUMNS)
    with connection.cursor().copy(f"COPY benchmark_limit ({columns}) FROM STDIN (FORMAT binary)") as copy:
        for piece in copy_bytes(staged, oid):
            copy.write(piece)
