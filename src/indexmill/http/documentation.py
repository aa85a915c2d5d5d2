"""The documentation that the service serves: its pages as Markdown, an index of them (`/llms.txt`), and all in one."""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response

from indexmill.http.auth import Need, needs

__all__ = ["PAGES", "documentation_router", "full_text", "index_text", "pages_folder"]

_SUMMARY: Final = (
    "A self-hosted service that keeps vector indexes up to date: items and documents come in through job APIs, become "
    "vectors with a deployed embedding model, and every job can be followed, cancelled and run again."
)
_OPENAPI: Final = "- [OpenAPI document](openapi.json): every operation with its fields, answers and statuses"
#: Section -> path of a page, in the repository and below the service's address alike, and what it tells.
PAGES: Final[dict[str, dict[str, str]]] = {
    "Use": {
        "README.md": "what it is, how to start it, the command line, the Python client",
        "docs/upsertion_tasks.md": "the front door that inserts, updates and deletes vectors by tasks",
        "docs/artifacts.md": "the front door for documents: ingest and delete, their status, search",
        "docs/indexing_jobs.md": "the front door for knowledge bases: data sources, indexing jobs, reports, retrieval",
        "docs/list_jobs.md": "the front door over all jobs, and for corpora: filters, pages, documents, search",
        "docs/documents.md": "which files become text and how, how texts are split",
        "docs/metadata_filters.md": "choosing documents and parts by conditions over their metadata",
        "docs/sources.md": "files named by URI or path: what may be read, and the spool for uploads",
    },
    "Operate": {
        "docs/operations.md": "processes, brokers, callbacks, every setting, limits",
        "docs/search.md": "exact search, vector indexes, what they find, rebuilding them",
        "docs/security.md": "tenants, API keys, tokens, roles, limits: who comes in and how much they may ask for",
    },
    "Understand": {
        "docs/architecture.md": "what always holds, the layers, a job's way, the modules",
        "docs/job_lifecycle.md": "states of jobs, batches and items, transitions, reasons",
    },
    "Optional": {
        "docs/dependencies.md": "each package and why it is needed",
        "CHANGELOG.md": "what changed in each version",
    },
}
_log = logging.getLogger(__name__)
_MARKDOWN: Final = "text/markdown; charset=utf-8"
_PLAIN: Final = "text/plain; charset=utf-8"
_LINK_TO_PAGE: Final = re.compile(r"(?<=\]\()(?![a-z]+:)([^()\s#]+\.md)")


def documentation_router() -> APIRouter:
    """One route a page: a path that is not a page's own reaches no file."""
    router = APIRouter(include_in_schema=False)
    folder = pages_folder()
    try:
        texts = {path: (folder / path).read_text("utf-8") for pages in PAGES.values() for path in pages}
    except FileNotFoundError as error:
        # Whoever packed it left the pages out; the service needs none of them.
        _log.warning("the documentation is not served: %s is missing", error.filename)
        return router
    router.add_api_route("/llms.txt", _serving(index_text(texts), _PLAIN))
    router.add_api_route("/llms-full.txt", _serving(full_text(texts), _PLAIN))
    for path, text in texts.items():
        router.add_api_route(f"/{path}", _serving(text, _MARKDOWN))
    return router


def pages_folder() -> Path:
    """Where the pages are: in the installed package, or in the repository that an editable install points to."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "documentation"
    return shipped if shipped.is_dir() else package.parents[1]


def index_text(texts: dict[str, str]) -> str:
    """`llms.txt` as llmstxt.org describes it: title, summary, and sections of links."""
    parts = ["# Indexmill", f"> {_SUMMARY}", "Every page is Markdown; `llms-full.txt` has all of them in one."]
    for section, pages in PAGES.items():
        links = [f"- [{_title(texts[path])}]({path}): {about}" for path, about in pages.items()]
        if section == "Use":
            links.append(_OPENAPI)
        parts += [f"## {section}", "\n".join(links)]
    return "\n\n".join(parts) + "\n"


def full_text(texts: dict[str, str]) -> str:
    """All pages, one after the other, each after its path; links lead to the pages by themselves."""
    return "\n".join(f"<!-- {path} -->\n\n{_from_root(path, text)}" for path, text in texts.items())


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").strip()


def _from_root(path: str, text: str) -> str:
    """The page with its links to others written as they must be outside its folder."""
    folder = posixpath.dirname(path)
    return _LINK_TO_PAGE.sub(lambda link: posixpath.normpath(posixpath.join(folder, link[1])), text)


def _serving(text: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    body = text.encode()

    @needs(Need.PUBLIC)
    async def serve() -> Response:
        return Response(body, media_type=media_type)

    return serve
