"""Collections as corpora: what callers say of them, resetting and deleting them as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from indexmill.domain.corpus import Corpus, CorpusSize
from indexmill.domain.filter_attributes import attributes_from_json
from indexmill.errors import InvalidRequest, SearchTimeout
from indexmill.ledger.database import Connection, Database, Row, run_query
from indexmill.ledger.pages import page_of

__all__ = ["Corpora"]

#: The greatest number that a collection can have.
_MAX_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True)
class Corpora:
    database: Database

    def save(
        self,
        connection: Connection,
        collection: int,
        name: str | None,
        description: str | None,
        details: dict[str, Any],
    ) -> None:
        """Say this of the collection; what is None, and details that are not given, stay."""
        run_query(
            connection,
            "save_corpus",
            collection=collection,
            name=name,
            description=description,
            details=Jsonb(details),
        )

    def find(self, key: str | None, number: int | None, tenant: int) -> Corpus | None:
        """By its key, or by its number."""
        if number is not None:
            found = self.numbered([number], tenant)
        elif key is None or "\0" in key:
            found = []
        else:
            found = self._read(tenant=tenant, key=key, numbers=None, pattern=None, after=0, limit=1)
        return found[0] if found else None

    def numbered(self, numbers: Sequence[int], tenant: int) -> list[Corpus]:
        """Those of these numbers that are there, by number."""
        wanted = [number for number in numbers if 0 < number <= _MAX_NUMBER]
        if not wanted:
            return []
        return self._read(tenant=tenant, key=None, numbers=wanted, pattern=None, after=0, limit=len(wanted))

    def page(self, limit: int, after: int, pattern: str | None, tenant: int) -> list[Corpus]:
        """By number. `pattern`: a regular expression that their names or descriptions match."""
        return self._read(tenant=tenant, key=None, numbers=None, pattern=pattern, after=after, limit=limit)

    def size(self, collection: int, *, characters: bool) -> CorpusSize:
        """How much is in it. It takes the longer the more there is, and with `characters` much longer.

        Raises:
            SearchTimeout
        """

        def work(connection: Connection) -> Row:
            run_query(connection, "guard_commit")
            try:
                return run_query(connection, "corpus_size", collection=collection, characters=characters)[0]
            except psycopg.errors.QueryCanceled as error:
                raise SearchTimeout("The corpus is too large to be counted in 30 s; try again later") from error

        return CorpusSize(**self.database.repeat(work))

    def knowledge_base(self, collection: int) -> str | None:
        """The name of the knowledge base whose data sources keep this collection."""
        rows = self.database.query("knowledge_base_of_collection", collection=collection)
        return rows[0]["name"] if rows else None

    def open_jobs(self, collection: int, before: int) -> Iterator[UUID]:
        """Unfinished jobs that were submitted before this sequence number, each once, whatever becomes of them."""
        after: UUID | None = None
        while True:
            rows, after = page_of(self.database, "open_jobs_of_collection", after, collection=collection, seq=before)
            yield from (row["id"] for row in rows)
            if after is None:
                return

    def reset(self, connection: Connection, collection: int) -> int:
        """From the commit on, whatever was submitted before loses. The sequence number below which that is."""
        return int(run_query(connection, "reset_collection", collection=collection)[0]["min_seq"])

    def delete(self, connection: Connection, collection: int) -> bool:
        """Take it away from everybody; its name is free again."""
        return bool(run_query(connection, "delete_collection", collection=collection))

    def _read(self, **values: Any) -> list[Corpus]:
        def work(connection: Connection) -> list[Row]:
            # A pattern may take long.
            run_query(connection, "guard_commit")
            try:
                return run_query(connection, "find_corpora", prepare=False, **values)
            except psycopg.errors.QueryCanceled as error:
                # Not repeated as other interruptions are: it would take as long again.
                raise InvalidRequest(
                    "filter: expected a regular expression that is found quickly, got one that takes "
                    "too long; write a simpler one"
                ) from error

        return [_corpus(row) for row in self.database.repeat(work)]


def _corpus(row: Row) -> Corpus:
    return Corpus(
        number=row["number"],
        key=row["key"],
        name=row["name"],
        description=row["description"],
        model=row["model"],
        created_at=row["created_at"],
        details=row["details"],
        attributes=attributes_from_json(row["attributes"]),
    )
