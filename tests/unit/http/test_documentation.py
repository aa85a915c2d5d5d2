"""The pages that the service serves: all, with links that lead somewhere, the index, and what the wheel holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest
from starlette.testclient import TestClient

from indexmill.http.documentation import PAGES, pages_folder
from tests.architecture.source_tree import ROOT

LISTED = [path for pages in PAGES.values() for path in pages]
LINK = re.compile(r"\[[^\]\[]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def _links(text: str) -> list[str]:
    """Targets of links that lead to pages; those to other sites are not looked up."""
    return [each for each in LINK.findall(FENCE.sub("", text)) if not each.startswith(("http://", "https://"))]


def _anchors(text: str) -> set[str]:
    """What a renderer makes of the headings: lower case, without punctuation, hyphens for spaces."""
    titles = (re.sub(r"[^\w\- ]", "", each).lower() for each in HEADING.findall(FENCE.sub("", text)))
    return {each.replace(" ", "-") for each in titles}


def test_every_page_of_the_repository_is_listed_once() -> None:
    of_docs = [f"docs/{path.relative_to(ROOT / 'docs')}" for path in (ROOT / "docs").rglob("*") if path.is_file()]
    assert sorted(LISTED) == sorted([*of_docs, "README.md", "CHANGELOG.md"])


@pytest.mark.parametrize("path", LISTED)
def test_a_page_is_served_as_it_is(client: TestClient, path: str) -> None:
    answer = client.get(f"/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text == (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("path", [*LISTED, "llms.txt", "llms-full.txt"])
def test_every_link_leads_to_a_page_and_its_heading_as_served(client: TestClient, path: str) -> None:
    text = client.get(f"/{path}").text
    for link in _links(text):
        target, anchor = urldefrag(urljoin(f"/{path}", link))
        found = client.get(target)
        assert found.status_code == 200, link
        assert not anchor or anchor in _anchors(found.text), link


@pytest.mark.parametrize("path", LISTED)
def test_every_link_leads_to_a_file_of_the_repository(path: str) -> None:
    for link in _links((ROOT / path).read_text("utf-8")):
        target = urldefrag(link).url
        assert not target or (ROOT / path).parent.joinpath(target).is_file(), link


def test_links_are_found_at_all() -> None:
    text = "[a](b.md#c) [d](https://example.com/)\n```\n[e](f.md)\n```\n# G `h.i`: *j*\n"
    assert (_links(text), _anchors(text)) == (["b.md#c"], {"g-hi-j"})
    assert len(_links((ROOT / "docs" / "artifacts.md").read_text("utf-8"))) > 10


def test_the_index_has_the_form_of_llms_txt_and_lists_every_page(client: TestClient) -> None:
    answer = client.get("/llms.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    blocks = answer.text.strip().split("\n\n")
    assert blocks[0] == "# Indexmill"
    assert re.fullmatch(r"> .+", blocks[1])
    sections = dict(zip(blocks[3::2], blocks[4::2], strict=True))
    assert list(sections) == [f"## {section}" for section in PAGES]
    lines = [line for block in sections.values() for line in block.splitlines()]
    links = [re.fullmatch(r"- \[(.+)\]\((.+)\): .+", line) for line in lines]
    titles = {link[2]: link[1] for link in links if link}
    assert len(titles) == len(lines)
    used = LISTED.index("docs/operations.md")
    assert list(titles) == [*LISTED[:used], "openapi.json", *LISTED[used:]]
    assert titles["docs/artifacts.md"] == "Artifacts"


def test_the_whole_has_every_page_in_their_order(client: TestClient) -> None:
    answer = client.get("/llms-full.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert re.findall(r"^<!-- (\S+) -->$", answer.text, re.MULTILINE) == LISTED
    for path in LISTED:
        last = (ROOT / path).read_text("utf-8").rstrip().rpartition("\n")[2]
        assert re.sub(r"\]\(.*?\)", "", last) in re.sub(r"\]\(.*?\)", "", answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/docs/nothing.md",
        "/docs/artifacts",
        "/docs/%2e%2e/pyproject.toml",
        "/docs/..%2fLICENSE",
        "/docs/README.md",
        "/pyproject.toml",
    ],
)
def test_any_other_path_is_the_native_404(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_path")


def test_the_page_at_docs_links_to_the_index(client: TestClient) -> None:
    assert '"llms.txt"' in client.get("/docs").text


def test_the_wheel_holds_the_pages_where_the_service_looks(tmp_path: Path) -> None:
    # The backend by itself: needs no network and no other environment.
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        shipped = {name for name in packed.namelist() if name.startswith("indexmill/documentation/")}
        assert shipped == {f"indexmill/documentation/{path}" for path in LISTED}
        assert packed.read("indexmill/documentation/docs/artifacts.md") == (ROOT / "docs/artifacts.md").read_bytes()
        packed.extractall(tmp_path / "installed")
    code = "from indexmill.http.documentation import pages_folder; print(pages_folder())"
    asked = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(tmp_path / "installed")}
    told = subprocess.run(asked, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert Path(told.stdout.strip()) == (tmp_path / "installed/indexmill/documentation").resolve()


def test_in_the_repository_the_pages_are_the_repositorys_own() -> None:
    assert pages_folder() == ROOT


def test_the_document_has_an_example_of_every_answer_and_every_id_of_tasks_and_native_routes(
    client: TestClient,
) -> None:
    """What `/docs` shows: requests that can be sent as they are, answers as they come."""
    document = client.get("/openapi.json").json()
    native = {"jobs", "models", "search", "upsertion tasks", "deletion tasks"}
    operations = [each for path in document["paths"].values() for each in path.values() if native & set(each["tags"])]
    assert len(operations) > 30
    for operation in operations:
        name = operation["operationId"]
        assert operation["summary"], name
        assert operation["description"], name
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (name, parameter["name"])
            assert parameter.get("examples") or not parameter["required"], (name, parameter["name"])
        good = next(answer for status, answer in operation["responses"].items() if status < "300")
        media = good.get("content", {}).get("application/json")
        if media is None:
            continue
        schema = media["schema"].get("items", media["schema"])
        known = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert "examples" in media or "example" in known, name


def test_schemas_are_named_for_readers_and_not_by_modules(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert not [name for name in schemas if "__" in name]
    assert {"NativeJobView", "ListJobsV1JobView", "ListJobsV2JobView", "UpsertionTasksTaskStatus"} <= schemas.keys()
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert named <= schemas.keys()


def test_every_id_in_a_path_has_a_meaning_and_an_example(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    places = [
        (operation["operationId"], parameter)
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "path"
    ]
    assert len(places) > 30
    for name, parameter in places:
        assert parameter.get("description"), (name, parameter["name"])
        assert parameter.get("examples"), (name, parameter["name"])


def test_the_headers_of_a_page_of_tasks_are_documented(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for family in ("upsertion", "deletion"):
        answer = document["paths"][f"/internal/{family}-tasks/list"]["get"]["responses"]["200"]
        sent = client.get(f"/internal/{family}-tasks/list").headers
        assert set(answer["headers"]) == {"X-Total-Count", "Link"}
        assert all(re.search(each["schema"].get("pattern", ""), sent[name]) for name, each in answer["headers"].items())
