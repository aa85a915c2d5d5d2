"""Pages: what clients ask for, `meta`, and links that are absolute and lead somewhere."""

from __future__ import annotations

import pytest

from tests.dialects.indexing_jobs import vendor_models as vendor
from tests.dialects.indexing_jobs.conftest import Checked

JOBS = "http://localhost:8080/v2/gen-ai/knowledge_bases"


@pytest.fixture(autouse=True)
def _bases(send: Checked) -> None:
    for number in range(45):
        send(vendor.KnowledgeBaseAnswer, "POST", "knowledge_bases", {"name": f"kb {number}"})


def _page(send: Checked, query: str) -> tuple[vendor.KnowledgeBaseList, dict[str, str]]:
    answer = send(vendor.KnowledgeBaseList, "GET", f"knowledge_bases{query}")
    assert answer.links is not None
    assert answer.links.pages is not None
    return answer, answer.links.pages.model_dump(exclude_unset=True)


@pytest.mark.parametrize(
    "query", ["", "?page=0", "?page=-3&per_page=0", "?per_page=-1", "?page=&per_page=", "?page=1&per_page=20"]
)
def test_the_first_page_is_what_is_meant_where_nothing_is_said(send: Checked, query: str) -> None:
    answer, links = _page(send, query)
    assert answer.meta == vendor.Meta(page=1, pages=3, total=45)
    assert [each.name for each in answer.knowledge_bases] == [f"kb {n}" for n in range(44, 24, -1)]
    assert links == {"next": f"{JOBS}?page=2&per_page=20", "last": f"{JOBS}?page=3&per_page=20"}


def test_a_page_in_the_middle_has_every_link(send: Checked) -> None:
    _, links = _page(send, "?per_page=10&page=3")
    assert links == {
        "first": f"{JOBS}?page=1&per_page=10",
        "previous": f"{JOBS}?page=2&per_page=10",
        "prev": f"{JOBS}?page=2&per_page=10",
        "next": f"{JOBS}?page=4&per_page=10",
        "last": f"{JOBS}?page=5&per_page=10",
    }


def test_following_the_links_gives_everything_once(send: Checked) -> None:
    names: list[str | None] = []
    answer, links = _page(send, "?per_page=7")
    while True:
        names += [each.name for each in answer.knowledge_bases]
        if "next" not in links:
            break
        answer = send(vendor.KnowledgeBaseList, "GET", links["next"])
        assert answer.links is not None
        assert answer.links.pages is not None
        links = answer.links.pages.model_dump(exclude_unset=True)
    assert names == [f"kb {n}" for n in range(44, -1, -1)]
    assert set(links) == {"first", "previous", "prev"}


def test_a_page_holds_at_most_two_hundred(send: Checked) -> None:
    answer, links = _page(send, "?per_page=100000")
    assert answer.meta == vendor.Meta(page=1, pages=1, total=45)
    assert links == {}


@pytest.mark.parametrize("page", ["4", "99999999999999999999999"])
def test_beyond_the_last_page_there_is_nothing_and_a_way_back(send: Checked, page: str) -> None:
    answer, links = _page(send, f"?page={page}")
    assert answer.knowledge_bases == []
    assert answer.meta is not None
    assert (answer.meta.pages, answer.meta.total) == (3, 45)
    assert links["prev"] == f"{JOBS}?page=3&per_page=20"


@pytest.mark.parametrize("query", ["?page=x", "?per_page=1.5", "?page=1e3"])
def test_what_is_no_number_is_refused(send: Checked, query: str) -> None:
    assert send.refused(400, "GET", f"knowledge_bases{query}").id == "bad_request"


def test_an_empty_list_has_one_page(send: Checked) -> None:
    answer = send(vendor.JobList, "GET", "indexing_jobs")
    assert (answer.jobs, answer.meta) == ([], vendor.Meta(page=1, pages=1, total=0))
    assert answer.links == vendor.Links(pages=vendor.Pages())
