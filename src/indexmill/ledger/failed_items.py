"""The failed items of jobs: stage, code, sentence, and what the item was."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from indexmill.domain.document import canonical_json
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.ledger.database import Connection, Database, Row, run_query

__all__ = ["MAX_SENTENCE", "FailedItems", "insert_failures"]

MAX_SENTENCE = 1500
#: A larger payload and item_info are left out: the caller has them.
_MAX_ATTACHMENT = 4096
#: Nor do a few kibibytes of zlib become the memory of whoever reads a page of them.
_MAX_PLAIN = 64 * 1024


def insert_failures(connection: Connection, job: UUID, ordinal: int, failures: Sequence[Failure]) -> None:
    """Store failures of one batch; one that is stored already is replaced."""
    if not failures:
        return
    run_query(
        connection,
        "insert_failed_items",
        job=job,
        ordinal=ordinal,
        positions=[failure.position for failure in failures],
        stages=[str(failure.stage) for failure in failures],
        codes=[str(failure.code) for failure in failures],
        sentences=[failure.sentence.replace("\0", "\\0")[:MAX_SENTENCE] for failure in failures],
        retryable=[failure.retryable for failure in failures],
        # PostgreSQL's text holds no NUL; the id is shown escaped.
        object_ids=[failure.object_id.replace("\0", "\\u0000") for failure in failures],
        attachments=[_pack(failure) for failure in failures],
    )


@dataclass(frozen=True)
class FailedItems:
    database: Database

    def page(
        self, job_id: UUID, *, limit: int, after_position: int = -1, max_bytes: int | None = None
    ) -> list[Failure]:
        """By position; ends before the rows together pass `max_bytes` (at least one row, if there is any)."""
        rows = self.database.query(
            "page_of_failed_items",
            job=job_id,
            after=after_position,
            limit=limit,
            max_bytes=max_bytes if max_bytes is not None else 2**62,
        )
        return [_failure(row) for row in rows]

    def first_of(self, job_ids: Sequence[UUID], *, limit: int) -> dict[UUID, list[Failure]]:
        """The first `limit` of each of these jobs."""
        found: dict[UUID, list[Failure]] = {}
        for row in self.database.query("first_failed_items", jobs=list(job_ids), limit=limit):
            found.setdefault(row["job"], []).append(_failure(row))
        return found


def _pack(failure: Failure) -> bytes | None:
    plain = canonical_json([failure.payload, failure.item_info]).encode()
    if len(plain) > _MAX_PLAIN:
        return None
    data = zlib.compress(plain, 1)
    return data if len(data) <= _MAX_ATTACHMENT else None


def _failure(row: Row) -> Failure:
    attachment: list[dict[str, Any] | None] = [None, None]
    if row["attachment"] is not None:
        attachment = json.loads(zlib.decompress(bytes(row["attachment"])))
    return Failure(
        position=row["position"],
        stage=Stage(row["stage"]),
        code=FailureCode(row["code"]),
        sentence=row["sentence"],
        retryable=row["retryable"],
        object_id=row["object_id"],
        payload=attachment[0],
        item_info=attachment[1],
    )
