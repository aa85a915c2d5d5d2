"""Writes documents of several chunks straight through the store, as a window with a splitting would."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexmill.domain.document import StoredPart, Version
from indexmill.domain.outcome import ItemStatus
from indexmill.engine import Engine
from indexmill.vectors.vector_store import StagedDocument, Written

__all__ = ["Stored", "staged", "store", "write"]

_seqs = itertools.count(1)


@dataclass(frozen=True)
class Stored:
    """`chunks`: a vector each, of any length; the text of the n-th is `chunk n`, 8 characters after the one before."""

    chunks: list[list[int]]
    payload: dict[str, Any] | None = None
    parts: tuple[StoredPart, ...] = ()


def staged(item: int, name: str, document: Stored, seq: int) -> StagedDocument:
    vectors = np.array(document.chunks, dtype=np.float64)
    vectors /= np.linalg.norm(vectors, axis=1)[:, np.newaxis]
    texts = [f"chunk {place}" for place in range(len(document.chunks))]
    ends = list(itertools.accumulate(len(text) + 1 for text in texts))
    return StagedDocument(
        item=item,
        id=name,
        version=Version(seq, item),
        action=ItemStatus.INDEXED,
        fingerprint=b"f" * 16,
        payload_hash=b"p" * 16,
        text=" ".join(texts),
        payload=json.dumps(document.payload) if document.payload is not None else None,
        vectors=vectors.astype(np.float32),
        parts=document.parts,
        spans=tuple((end - len(text) - 1, end - 1) for end, text in zip(ends, texts, strict=True)),
    )


def write(engine: Engine, documents: Sequence[StagedDocument], collection: str = "tiny") -> list[Written]:
    with engine.ledger.database.transaction() as connection:
        engine.vectors.stage(connection, documents)
        return engine.vectors.write(
            connection, engine.collection(collection), documents, {document.item for document in documents}
        )


def store(engine: Engine, documents: Mapping[str, Stored], collection: str = "tiny") -> list[Written]:
    seq = next(_seqs)
    wanted = [staged(item, name, each, seq) for item, (name, each) in enumerate(documents.items())]
    return write(engine, wanted, collection)
