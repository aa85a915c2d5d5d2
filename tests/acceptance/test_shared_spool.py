"""Two hosts that share nothing but the database, the broker and a bucket: what one takes in, the other reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from indexmill.cli.exit_codes import ExitCode
from indexmill.domain.job import Item, JobKind, Submission
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.settings import Settings, SourceSettings
from indexmill.sources.spool import open_spool
from tests.acceptance.fixtures import StartService
from tests.draining import documents, job_of
from tests.redis_server import RedisServer
from tests.running_service import RunningService, wait_until
from tests.s3_server import S3Server

pytestmark = pytest.mark.redis


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server() as running:
        running.client().create_bucket(Bucket="shared")
        yield running


def environment(s3: S3Server, redis_server: RedisServer, bucket: str = "shared") -> dict[str, str]:
    return {
        "INDEXMILL_CELERY__BROKER_MODE": "redis",
        "INDEXMILL_CELERY__BROKER_URL": redis_server.url,
        "INDEXMILL_SOURCES__SPOOL_URL": f"s3://{bucket}/spool",
        "INDEXMILL_SOURCES__S3__ENDPOINT": s3.url,
        "INDEXMILL_SOURCES__S3__REGION": "us-east-1",
        "INDEXMILL_SOURCES__S3__ACCESS_KEY_ID": "test",
        "INDEXMILL_SOURCES__S3__SECRET_ACCESS_KEY": "test",
        "INDEXMILL_SOURCES__S3__ALLOW_HTTP": "true",
    }


@pytest.fixture
def _two_hosts(
    s3: S3Server, redis_server: RedisServer, start_service: StartService, start_worker: StartService
) -> None:
    """`indexmill serve` and `indexmill worker`, each with a data folder of its own."""
    service = start_service(until_ready=False, **environment(s3, redis_server))
    wait_until(lambda: answers(service), 100, "the API")
    start_worker(**environment(s3, redis_server))
    wait_until(service.is_ready, 100, "service and worker to be ready")


@pytest.mark.usefixtures("_two_hosts")
def test_a_worker_on_another_host_reads_what_was_uploaded_to_the_bucket(
    s3: S3Server, engine: Engine, tmp_path: Path
) -> None:
    """The pool's processes are forked from one that has not used the client: there it would hang."""
    sources = SourceSettings(spool_url="s3://shared/spool", s3=s3.settings())
    spool = open_spool(Settings(data_folder=tmp_path / "mine", sources=sources))
    jobs = []
    for number in range(4):
        reference = spool.write([b"text number %d" % number]).reference
        item = Item(f"d{number}", None, {"source": "spool", "value": reference, "file_name": "a.txt"})
        jobs.append(engine.submit(Submission(JobKind.INGESTION, "tiny", [item], spooled=(reference,))).job)
    wait_until(lambda: all(job_of(engine, job).is_terminal for job in jobs), 30, "the jobs to end")
    assert [job_of(engine, job).state for job in jobs] == [JobState.SUCCEEDED] * 4
    assert len(documents(engine)) == 4


def test_neither_command_starts_without_the_bucket(
    s3: S3Server, redis_server: RedisServer, start_service: StartService, start_worker: StartService
) -> None:
    settings = environment(s3, redis_server, "no-such-bucket")
    for started in (start_service(until_ready=False, **settings), start_worker(**settings)):
        assert started.process is not None
        assert started.process.wait(60) == ExitCode.USAGE
        log = started.log.read_text()
        assert "sources.spool_url" in log
        assert "Traceback" not in log


def answers(service: RunningService) -> bool:
    try:
        return service.http.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False
