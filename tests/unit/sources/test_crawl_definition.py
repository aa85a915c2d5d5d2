"""A web crawl as the wire says it."""

from __future__ import annotations

from typing import Any

import pytest

from indexmill.errors import InvalidRequest
from indexmill.sources.crawl_definition import DEFAULT_EXCLUDED, CrawlDefinition
from indexmill.sources.crawl_scope import CrawlOption

BASE = "https://example.com/"


def test_what_is_absent_null_or_empty_means_the_default() -> None:
    for settings in ({}, {"crawling_option": "", "exclude_tags": None, "embed_media": None}):
        found = CrawlDefinition.from_settings({"base_url": BASE} | settings)
        assert found == CrawlDefinition(BASE, CrawlOption.SCOPED, DEFAULT_EXCLUDED, False)


def test_everything_that_can_be_said() -> None:
    settings = {
        "crawling_option": "SUBDOMAINS",
        "embed_media": True,
        "exclude_tags": ["NAV", "<Footer>", "div.Ad", "#x"],
    }
    found = CrawlDefinition.from_settings({"base_url": BASE} | settings)
    assert found == CrawlDefinition(BASE, CrawlOption.SUBDOMAINS, ("nav", "footer", "div.Ad", "#x"), True)
    assert CrawlDefinition.from_settings({"base_url": BASE, "exclude_tags": []}).exclude_tags == ()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"base_url": ""},
        {"base_url": 7},
        {"base_url": "ftp://example.com/"},
        {"base_url": "https://user:secret@example.com/"},
        {"base_url": BASE, "crawling_option": "EVERYTHING"},
        {"base_url": BASE, "exclude_tags": "nav"},
        {"base_url": BASE, "exclude_tags": [1]},
        {"base_url": BASE, "exclude_tags": ["div > p"]},
        {"base_url": BASE, "exclude_tags": ["."]},
        {"base_url": BASE, "exclude_tags": [f"t{number}" for number in range(101)]},
    ],
)
def test_what_no_crawl_can_be(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        CrawlDefinition.from_settings(settings)
    assert "secret" not in str(refusal.value)
