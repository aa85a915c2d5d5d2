"""A crawler of a site on loopback, and what it contacts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from indexmill.readers.reader import Extractor
from indexmill.settings import ReaderSettings, load_settings
from indexmill.sources.crawl_definition import CrawlDefinition
from indexmill.sources.crawl_scope import CrawlOption
from indexmill.sources.crawler import Crawler
from tests.integration.sources.crawling import MakeCrawler
from tests.web_server import WebServer, answer


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    made = Extractor(ReaderSettings(), 1_000_000)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer({"/robots.txt": answer("404 Not Found")}) as running:
        yield running


@pytest.fixture
def crawler(tmp_path: Path, extractor: Extractor) -> MakeCrawler:
    def make(server: WebServer, path: str = "/", option: str = "DOMAIN", crawl: Any = None, **more: Any) -> Crawler:
        settings = load_settings(
            data_folder=tmp_path,
            sources={"allowed_hosts": [f"127.0.0.1:{server.port}"]},
            crawl={"delay_seconds": 0} | (crawl or {}),
        )
        definition = CrawlDefinition(server.url + path, CrawlOption(option), **more)
        return Crawler(definition, settings, extractor)

    return make


@pytest.fixture
def contacted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every address that a connection is made to."""
    found: set[str] = set()
    real = httpcore.SyncBackend.connect_tcp

    def connect(self: httpcore.SyncBackend, host: str, *rest: Any, **more: Any) -> httpcore.NetworkStream:
        found.add(host)
        return real(self, host, *rest, **more)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    return found
