"""schema.sql is what the migrations make, every query is valid against it, and its CHECKs hold what they say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import resources

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.engine import Engine
from indexmill.errors import ServiceError
from indexmill.ledger import migrate as migration
from indexmill.ledger.database import Connection, Database
from indexmill.ledger.migrate import migrate, migration_names
from tests.draining import claim_next, drain, execute, rows, upsert

CATALOGUES = {
    "columns": """
        SELECT table_name, column_name, ordinal_position, column_default, is_nullable, data_type, is_identity
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 3""",
    "constraints": """
        SELECT conrelid::regclass::text AS t, conname, contype, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
    "sequences": "SELECT sequencename, cache_size, increment_by FROM pg_sequences ORDER BY 1",
    "storage": """
        SELECT c.relname, c.reloptions, a.attname, a.attstorage
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 ORDER BY 1, 3""",
    "functions": """
        SELECT proname, provolatile, proparallel, pg_get_functiondef(p.oid) AS definition FROM pg_proc p
        WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (
            SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1""",
    "extensions": "SELECT extname FROM pg_extension ORDER BY 1",
    "tenants": "SELECT id, name FROM tenant ORDER BY 1",
    "lanes": "SELECT name, tenant, model FROM lane ORDER BY 1",
}


#: Foreign keys to what retention deletes, for which deleting a row means reading a whole table.
UNINDEXED = """
    SELECT c.conrelid::regclass::text AS "from", c.confrelid::regclass::text AS "to" FROM pg_constraint c
    WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace
      AND c.confrelid::regclass::text IN ('job', 'batch', 'job_source', 'data_source', 'knowledge_base')
      AND NOT EXISTS (
          SELECT 1 FROM pg_index i
          WHERE i.indrelid = c.conrelid AND i.indkey[0] = ANY (c.conkey)
            AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) LIKE '%%IS NOT NULL)'))
    ORDER BY 1, 2"""


@pytest.fixture
def empty_url(postgres_url: str, database_url: str) -> Iterator[str]:
    """A database without anything in it."""
    name = database_url.partition("?")[0].rpartition("/")[2] + "_empty"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    yield database_url.replace(database_url.partition("?")[0].rpartition("/")[2], name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def catalogues(url: str) -> dict[str, list[dict[str, object]]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        found = {name: connection.execute(query).fetchall() for name, query in CATALOGUES.items()}
    # The table of applied migrations is the migrations' own.
    for name, listed in found.items():
        found[name] = [row for row in listed if "schema_migration" not in str(row.values())]
    return found


def build_schema(url: str, *, old: str = "", new: str = "") -> None:
    text = resources.files("indexmill.ledger").joinpath("schema.sql").read_text("utf-8")
    assert old in text
    with psycopg.connect(url) as connection:
        connection.execute(text.replace(old, new))


def test_schema_sql_is_what_the_migrations_make(empty_url: str, database_url: str) -> None:
    build_schema(empty_url)
    readable, migrated = catalogues(empty_url), catalogues(database_url)
    assert set(readable) == set(CATALOGUES)
    for name in CATALOGUES:
        assert readable[name] == migrated[name], name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("items > 0", "items >= 0"),
        ("losses integer NOT NULL DEFAULT 0", "losses integer DEFAULT 0"),
        ("WHERE state = 'ready'", "WHERE state <> 'ready'"),
        ("fillfactor = 70", "fillfactor = 71"),
        ("CACHE 1", "CACHE 2"),
    ],
)
def test_a_schema_sql_that_was_left_behind_would_be_caught(
    empty_url: str, database_url: str, old: str, new: str
) -> None:
    build_schema(empty_url, old=old, new=new)
    assert catalogues(empty_url) != catalogues(database_url)


# Migrating


def open_database(url: str) -> Database:
    database = Database(url, pool_size=2, direct=True)
    database.open()
    return database


def test_migrating_applies_each_migration_once(empty_url: str) -> None:
    database = open_database(empty_url)
    try:
        assert migrate(database) == migration_names()
        assert migrate(database) == []
    finally:
        database.close()


def test_a_database_that_is_newer_than_the_program_is_refused(engine: Engine) -> None:
    execute(engine, "INSERT INTO schema_migration (name) VALUES ('9999_of_the_future')")
    with pytest.raises(ServiceError, match="found 9999_of_the_future; this program is older than its database"):
        migrate(engine.ledger.database)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("MIN_POSTGRES", 99, "expected PostgreSQL 99 or newer"),
        ("MIN_PGVECTOR", (99, 0), "expected pgvector 99.0 or newer"),
    ],
)
def test_a_server_that_is_too_old_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str, value: object, complaint: str
) -> None:
    monkeypatch.setattr(migration, name, value)
    with pytest.raises(ServiceError, match=complaint):
        migrate(engine.ledger.database)


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    numbers = [int(name.partition("_")[0]) for name in migration_names()]
    assert numbers == list(range(1, len(numbers) + 1))


# Queries


def declare(engine: Engine, connection: Connection) -> int:
    attributes = [FilterAttribute("year", AttributeLevel.DOCUMENT, AttributeType.INTEGER)]
    return engine.vectors.attribute_sets.declare(connection, 1, attributes)


def query_files() -> list[tuple[str, str]]:
    folders = [
        (package, resources.files(package).joinpath("queries")) for package in ("indexmill.ledger", "indexmill.vectors")
    ]
    return sorted((package, entry.name) for package, folder in folders for entry in folder.iterdir())


@pytest.mark.parametrize(("package", "name"), query_files())
def test_every_query_is_valid_against_the_schema(engine: Engine, package: str, name: str) -> None:
    text = resources.files(package).joinpath("queries", name).read_text("utf-8")
    if package == "indexmill.vectors":
        with engine.ledger.database.transaction() as connection:
            number = declare(engine, connection)
        nearest = resources.files(package).joinpath("queries", "nearest_chunks.sql").read_text("utf-8")
        documents = f"document_attribute_{number}"
        parts = {
            "target": "chunk_1_1",
            "index": "chunk_1_1_hnsw",
            "table": documents if name.endswith("_attributes.sql") or "misfit = 1" in text else "chunk_1_1",
            "dimension": 8,
            "storage": "PLAIN",
            "joins": f"JOIN {documents} a ON a.document = c.document" if "chunks" in name else "",
            "condition": "a.a1 > 3" if "chunks" in name else "true",
            "columns": "document, a1",
            "key": "document",
            "assignments": "a1 = excluded.a1",
        }
        text = text.format_map(defaultdict(str, parts, nearest=nearest.format(**parts)))
    statement = re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE).strip()
    with engine.ledger.database.connection() as connection:
        if package == "indexmill.vectors" and name != "create_staging.sql":
            staging = resources.files(package).joinpath("queries", "create_staging.sql").read_text("utf-8")
            connection.execute(staging.replace("ON COMMIT DROP", ""))
        if statement.upper().startswith(("CREATE", "SET", "DROP", "ANALYZE", "TRUNCATE")):
            # Not preparable; run elsewhere in these tests, by the fixtures and by every window.
            return
        numbered = _numbered(statement)
        connection.execute(f"PREPARE checked AS {numbered}")
        connection.execute("DEALLOCATE checked")
        connection.execute("DROP TABLE IF EXISTS staged")


def _numbered(statement: str) -> str:
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)[sb]", statement)))
    for number, name in enumerate(names, 1):
        statement = re.sub(rf"%\({name}\)[sb]", f"${number}", statement)
    return statement


# What the tables themselves refuse


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE job SET state = 'running'", "finished_when_terminal"),
        ("UPDATE job SET state = 'receiving', finished_at = NULL, reason = NULL", "queued_with_seq"),
        ("UPDATE job SET state = 'paused', finished_at = NULL, reason = NULL", "job_state_check"),
        ("UPDATE job SET reason = 'by_items'", "reason_of_state"),
        ("UPDATE job SET reason = NULL", "reason_of_state"),
        ("UPDATE job SET finished_at = NULL", "finished_when_terminal"),
        ("UPDATE job SET indexed = indexed + 1", "conserved"),
        ("UPDATE job SET total_items = 7", "conserved"),
        ("UPDATE batch SET failed = failed + 1", "conserved"),
        ("UPDATE batch SET outcomes = NULL", "done_with_outcomes"),
        ("UPDATE batch SET state = 'running', lease = NULL", "running_with_lease"),
        ("UPDATE batch SET state = 'lost'", "batch_state_check"),
        ("UPDATE document SET deleted_at = now()", "tombstone_is_empty"),
        ("UPDATE lane SET stopped_at = now()", "stopped_with_"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(engine: Engine, statement: str, constraint: str) -> None:
    upsert(engine, {"a": "one", "b": "two"})
    drain(engine)
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        execute(engine, statement)


def test_a_claimed_batch_of_an_open_job_may_lack_outcomes(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    assert claim_next(engine) is not None
    assert rows(engine, "SELECT state, outcomes FROM batch") == [{"state": "running", "outcomes": None}]


def test_the_ledger_s_clock_can_be_set_by_a_test(engine: Engine) -> None:
    with engine.ledger.database.transaction() as connection:
        connection.execute("SET LOCAL indexmill.fake_now = '2030-01-02 03:04:05Z'")
        found = connection.execute("SELECT ledger_now() = '2030-01-02 03:04:05Z' AS faked").fetchone()
        assert found == {"faked": True}
    assert rows(engine, "SELECT abs(extract(epoch FROM ledger_now() - clock_timestamp())) < 5 AS real") == [
        {"real": True}
    ]


def test_what_is_deleted_in_time_is_deleted_by_index(engine: Engine) -> None:
    assert rows(engine, UNINDEXED) == []
    execute(engine, "ALTER TABLE batch ADD FOREIGN KEY (source) REFERENCES data_source")
    assert rows(engine, UNINDEXED) == [{"from": "batch", "to": "data_source"}]
