"""Services for tests of knowledge bases: buckets on a real S3 server, sites on loopback, crawls without pauses."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.s3_server import S3Server

__all__ = ["bucket_source", "put_all", "site_source", "sources_environment"]


def sources_environment(s3: S3Server) -> dict[str, str]:
    return {
        "INDEXMILL_SOURCES__S3__ENDPOINT": s3.url,
        "INDEXMILL_SOURCES__S3__REGION": "us-east-1",
        "INDEXMILL_SOURCES__S3__ACCESS_KEY_ID": "test",
        "INDEXMILL_SOURCES__S3__SECRET_ACCESS_KEY": "test",
        "INDEXMILL_SOURCES__S3__ALLOW_HTTP": "true",
        "INDEXMILL_SOURCES__ALLOWED_HOSTS": json.dumps(["127.0.0.1"]),
        "INDEXMILL_CRAWL__DELAY_SECONDS": "0",
    }


def bucket_source(bucket: str, **more: Any) -> dict[str, Any]:
    return {"spaces_data_source": {"bucket_name": bucket, "region": "us-east-1"}, **more}


def site_source(url: str, option: str = "DOMAIN") -> dict[str, Any]:
    return {"web_crawler_data_source": {"base_url": url, "crawling_option": option}}


def put_all(s3: S3Server, bucket: str, files: dict[str, bytes]) -> None:
    """Objects by key; the bucket is made where there is none."""
    client = s3.client()
    client.create_bucket(Bucket=bucket)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: client.put_object(Bucket=bucket, Key=each[0], Body=each[1]), files.items()))
