"""Knowledge bases: a bucket indexed and indexed again, and the pages of a long list of jobs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import psycopg

from benchmarks.clients import call
from tests.acceptance.standard_library import documentation_files
from tests.s3_server import S3Server

__all__ = ["index_bucket", "page_rates", "settings_of"]

_API = "/v2/gen-ai"
_JOBS = """
INSERT INTO job (id, tenant, kind, seq, state, reason, collection, model, lane, knowledge_base, created_at, finished_at)
SELECT gen_random_uuid(), k.tenant, 'indexing', nextval('job_seq'), 'succeeded', 'nothing_changed', c.id, c.model,
       c.lane, k.id, now() - n * interval '1 s', now()
FROM generate_series(1, %s) n, knowledge_base k JOIN collection c ON c.id = k.collection WHERE k.id = %s
"""


def settings_of(s3: S3Server) -> dict[str, str]:
    """What a service needs to read from it."""
    names = {"endpoint": s3.url, "region": "us-east-1", "access_key_id": "x", "secret_access_key": "x"}
    found = {f"INDEXMILL_SOURCES__S3__{name.upper()}": value for name, value in names.items()}
    return found | {"INDEXMILL_SOURCES__S3__ALLOW_HTTP": "true"}


def index_bucket(port: int, s3: S3Server, model: str, files: int) -> tuple[float, float, str]:
    """Files a second of the first job and of one that finds nothing changed; the knowledge base."""
    client = s3.client()
    client.create_bucket(Bucket="bench")
    texts = documentation_files(files)
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda each: client.put_object(Bucket="bench", Key=each[0], Body=each[1].encode()), texts.items())
        )
    source = {"spaces_data_source": {"bucket_name": "bench", "region": "us-east-1"}}
    body = {"name": "bench", "embedding_model_uuid": model, "datasources": [source]}
    started = time.perf_counter()
    base = call(port, "POST", f"{_API}/knowledge_bases", body)["knowledge_base"]
    first = _ended(port, base["last_indexing_job"]["uuid"], indexed=files)
    first_seconds = time.perf_counter() - started
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        job = call(port, "POST", f"{_API}/indexing_jobs", {"knowledge_base_uuid": base["uuid"]})["job"]
        again = _ended(port, job["uuid"], indexed=0)
        rates.append(files / (time.perf_counter() - started))
        if again["tokens"] or not first["tokens"]:
            raise SystemExit(f"expected tokens of the first job alone, got {first['tokens']} and {again['tokens']}")
    return files / first_seconds, median(rates), str(base["uuid"])


def _ended(port: int, job: str, *, indexed: int) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = call(port, "GET", f"{_API}/indexing_jobs/{job}")["job"]
        if found["phase"] not in ("BATCH_JOB_PHASE_PENDING", "BATCH_JOB_PHASE_RUNNING"):
            break
        time.sleep(0.02)
    if found["phase"] != "BATCH_JOB_PHASE_SUCCEEDED" or int(found["total_items_indexed"]) != indexed:
        raise SystemExit(f"expected {indexed} files indexed, got {found}")
    return found


def page_rates(port: int, url: str, base: str, jobs: int) -> dict[str, float]:
    """First, middle and last page of so many jobs, of all and of their knowledge base: pages a second."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_JOBS, [jobs, base])
        connection.execute("ANALYZE job")
    rates = _rates(port, f"{_API}/indexing_jobs")
    own = _rates(port, f"{_API}/knowledge_bases/{base}/indexing_jobs")
    return rates | {f"{name} of one base": rate for name, rate in own.items()}


def _rates(port: int, path: str) -> dict[str, float]:
    total = call(port, "GET", f"{path}?per_page=20")["meta"]["total"]
    pages = -(-total // 20)
    rates = {}
    for name, page in {"first": 1, "middle": pages // 2, "last": pages}.items():
        seconds = []
        for _ in range(15):
            started = time.perf_counter()
            answer = call(port, "GET", f"{path}?page={page}&per_page=20")
            seconds.append(time.perf_counter() - started)
            if answer["meta"] != {"page": page, "pages": pages, "total": total}:
                raise SystemExit(f"expected page {page} of {pages}, got {answer['meta']}")
        rates[name] = 1 / median(seconds)
    return rates
