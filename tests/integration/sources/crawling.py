"""Crawls as their driver does them, and pages for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from indexmill.sources.crawler import Crawler
from indexmill.sources.visit import Visit
from tests.web_server import Answer, answer

__all__ = ["MakeCrawler", "crawl_all", "html", "visit_one"]

MakeCrawler = Callable[..., Crawler]


def html(body: bytes | str, content_type: str = "text/html", **headers: str) -> Answer:
    return answer(body=body if isinstance(body, bytes) else body.encode(), content_type=content_type, **headers)


def crawl_all(crawler: Crawler) -> dict[str, Visit]:
    """What a crawl's driver does: every URL once."""
    found: dict[str, Visit] = {}
    waiting = deque(crawler.seeds())
    while waiting:
        url = waiting.popleft()
        if url not in found:
            assert crawler.wait(url, 1)
            found[url] = crawler.visit(url)
            waiting.extend(found[url].links)
    return found


def visit_one(crawler: Crawler, url: str | None = None) -> Visit:
    return crawler.visit(url or crawler.seeds()[0])
