"""A generated web site on loopback, with everything that crawls meet; it knows what of it is to be indexed."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterable

from tests.web_server import Answer, WebServer, answer

__all__ = ["METADATA", "SiteServer", "page", "sentence"]

#: The metadata service of most clouds: never to be contacted.
METADATA = "http://169.254.169.254/latest/meta-data/"
_BRANCHES = 10


def sentence(number: int) -> str:
    """What page `number` alone says."""
    return f"Crane number {number} of the flock rested at marsh {number * 7} and flew on to the {number}th lake."


def page(title: str, *paragraphs: str, links: Iterable[str] = (), head: str = "") -> bytes:
    anchors = "".join(f'<li><a href="{each}">a link</a></li>' for each in links)
    body = "".join(f"<p>{each}</p>" for each in paragraphs)
    return (
        f"<!doctype html><html><head><title>{title}</title>{head}</head><body><nav><ul>{anchors}</ul></nav>"
        f"<h1>{title}</h1>{body}<footer>Imprint of the marsh</footer></body></html>"
    ).encode()


class SiteServer(WebServer):
    """`pages` pages in a tree of links below `/`, each with links back (loops) and to itself under other names.

    `indexable`: the paths of those pages, the slow ones among them. Besides them the site has what must not be indexed:
    redirects in and out of it, a circle of redirects, 404s, pages that robots.txt or they themselves keep back, a page
    that always fails (`failing`), and links to the metadata service and to another site.
    """

    def __init__(self, pages: int = 500, *, slow: int = 3, slow_seconds: float = 0.2, delay: str = "") -> None:
        super().__init__()
        self.pages = pages
        self.slow_seconds = slow_seconds
        self.failing = {"/broken"}
        self.forbidden = {"/private/1", "/private/2"}
        self._slow = {f"/page/{number}" for number in range(1, slow + 1)}
        for number in range(pages):
            self.write(number)
        for number in range(20):
            self.answers[f"/old/{number}"] = answer("301 Moved Permanently", location=self.path(number % pages))
        self.answers |= {
            "/robots.txt": answer(body=self._robots(delay).encode(), content_type="text/plain"),
            "/loop/a": answer("302 Found", location="/loop/b"),
            "/loop/b": answer("302 Found", location="/loop/a"),
            "/metadata": answer("302 Found", location=METADATA),
            "/away": answer("302 Found", location="http://elsewhere.example/"),
            "/broken": answer("500 Internal Server Error"),
            "/hidden": _html(page("Hidden", "Not for indexes.", head='<meta name="robots" content="noindex">')),
            "/print/2": _html(page("Copy", sentence(2), head=f'<link rel="canonical" href="{self.path(2)}">')),
            "/image.png": answer(body=b"\x89PNG", content_type="image/png"),
        }
        for path in self.forbidden:
            self.answers[path] = _html(page("Private", "robots.txt keeps crawlers away from here."))

    @property
    def indexable(self) -> set[str]:
        return {self.path(number) for number in range(self.pages)}

    @property
    def requests(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(head.split(" ", 2)[1] for head in self.heads)

    def path(self, number: int) -> str:
        return f"/page/{number}" if number else "/"

    def write(self, number: int, text: str | None = None) -> None:
        """Make page `number`, or change what it says."""
        children = range(_BRANCHES * number + 1, min(_BRANCHES * number + _BRANCHES + 1, self.pages))
        links = [self.path(child) for child in children]
        links += ["/", f"{self.path(number)}#top", f"{self.path(number)}?utm_source=itself"]
        links += [f"/old/{number}", f"/missing/{number}"] if number < 20 else []
        if number == 0:
            links += ["/loop/a", "/metadata", "/away", "/broken", "/hidden", "/print/2", "/image.png", *self.forbidden]
            links += [METADATA, "http://elsewhere.example/", "mailto:crane@marsh.example", "javascript:void(0)"]
        written = _html(page(f"Page {number}", text or sentence(number), links=links))
        path = self.path(number)
        self.answers[path] = self._slowly(written) if path in self._slow else written
        self.answers[f"{path}?utm_source=itself"] = answer("500 Internal Server Error")

    def remove(self, number: int) -> None:
        self.answers[self.path(number)] = answer("410 Gone")

    def sitemap(self, paths: Iterable[str]) -> bytes:
        entries = "".join(f"<url><loc>{self.url}{path}</loc></url>" for path in paths)
        return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'.encode()

    def _robots(self, delay: str) -> str:
        return f"User-agent: *\nDisallow: /private/\n{delay}\nSitemap: {self.url}/sitemap.xml\n"

    def _slowly(self, written: Answer) -> Answer:
        def write(connection: socket.socket) -> None:
            time.sleep(self.slow_seconds)
            written(connection)

        return write


def _html(body: bytes) -> Answer:
    return answer(body=body, content_type="text/html; charset=utf-8")
