"""The page /docs, in a real browser: it shows every operation of the OpenAPI document, and how to call it."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.served_app import served
from tests.unit.http.fake_service import FakeService

_PATIENCE = 90
Page = tuple[dict[str, Any], str]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The OpenAPI document, and the page as the browser has made it."""
    with served(FakeService()) as url:
        document = httpx.get(f"{url}/openapi.json").json()
        shown = subprocess.run(
            [
                "chromium",
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
                "--virtual-time-budget=20000",
                "--dump-dom",
                f"{url}/docs",
            ],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        ).stdout
    return document, re.sub(r"<script>.*?</script>", "", shown, flags=re.DOTALL)


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, verb, each) for path, verbs in document["paths"].items() for verb, each in verbs.items()]


def test_every_operation_is_shown_and_listed_once(page: Page) -> None:
    document, shown = page
    assert "The OpenAPI document cannot be read" not in shown
    names = [each["operationId"] for _, _, each in operations(document)]
    assert len(names) > 90
    assert sorted(re.findall(r'<details class="op" id="([^"]+)"', shown)) == sorted(names)
    assert sorted(html.unescape(each) for each in re.findall(r'<a href="#([^"]+)"', shown)) == sorted(names)


def test_bodies_that_are_no_json_have_examples_that_send_them(page: Page) -> None:
    document, shown = page
    by_type = {
        "multipart/form-data": "-F 'file=@document.pdf'",
        "application/x-www-form-urlencoded": "--data-urlencode 'grant_type=client_credentials'",
        "application/octet-stream": "--data-binary @document.pdf",
    }
    seen = set()
    for _, _, each in operations(document):
        types = each.get("requestBody", {}).get("content", {})
        if types and "application/json" not in types:
            kind = next(iter(types))
            seen.add(kind)
            assert by_type[kind] in section(shown, each["operationId"]), each["operationId"]
    assert seen == set(by_type)


def test_a_body_of_json_is_sent_as_its_example(page: Page) -> None:
    document, shown = page
    run = document["paths"]["/internal/upsertion-tasks/run"]["post"]
    told = section(shown, run["operationId"])
    assert "-H 'Content-Type: application/json'" in told
    assert '"embedding_model_id"' in told


def section(shown: str, name: str) -> str:
    """The page's text about one operation."""
    start = shown.index(f'id="{name}"')
    end = shown.find('<details class="op"', start)
    return html.unescape(re.sub(r"<[^>]+>", "", shown[start : end if end > 0 else None]))


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = (Path(__file__).parents[3] / "src" / "indexmill" / "http" / "docs.html").read_text()
    assert not re.findall(r"""(?:src|href)=["']https?:""", text)
