"""Filters over metadata: each operator, what is not there, and types that do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from indexmill.domain.metadata_filter import Condition, MetadataFilter, Operator, document_metadata

METADATA = {"name": "guide/jobs.md", "year": 2024, "share": 0.5, "public": True, "tags": ["a", 1], "none": None}


@pytest.mark.parametrize(
    ("field", "operator", "value", "holds"),
    [
        ("name", "eq", "guide/jobs.md", True),
        ("name", "eq", "guide", False),
        ("year", "eq", 2024.0, True),
        ("year", "eq", "2024", False),
        ("public", "eq", True, True),
        ("public", "eq", 1, False),
        ("year", "eq", True, False),
        ("none", "eq", None, True),
        ("absent", "eq", None, False),
        ("year", "ne", 2023, True),
        ("year", "ne", 2024, False),
        ("absent", "ne", 2024, True),
        ("year", "gt", 2023, True),
        ("year", "gt", 2024, False),
        ("year", "gte", 2024, True),
        ("year", "lt", 2024.5, True),
        ("year", "lt", 2024, False),
        ("year", "lte", 2024, True),
        ("name", "gt", "guide", True),
        ("name", "gt", 1, False),
        ("year", "lt", "3000", False),
        ("public", "gt", 0, False),
        ("absent", "lt", 1, False),
        ("absent", "gt", 1, False),
        ("year", "in", [2023, 2024], True),
        ("year", "in", ["2024"], False),
        ("year", "in", [], False),
        ("absent", "in", [2024], False),
        ("year", "not_in", [2023], True),
        ("year", "not_in", [2024], False),
        ("absent", "not_in", [2024], True),
        ("name", "contains", "jobs", True),
        ("name", "contains", 1, False),
        ("tags", "contains", "a", True),
        ("tags", "contains", True, False),
        ("tags", "contains", "b", False),
        ("year", "contains", 2, False),
        ("absent", "contains", "a", False),
    ],
)
def test_a_condition_holds_as_json_compares(field: str, operator: str, value: Any, holds: bool) -> None:
    assert Condition(field, Operator(operator), value).matches(METADATA) is holds


def test_must_and_must_not_and_should_go_together() -> None:
    late, early = Condition("year", Operator.GT, 2020), Condition("year", Operator.LT, 2020)
    guide, other = Condition("name", Operator.CONTAINS, "guide"), Condition("name", Operator.EQ, "other")
    assert MetadataFilter().matches(METADATA)
    assert MetadataFilter().is_empty
    assert MetadataFilter(must=(late, guide)).matches(METADATA)
    assert not MetadataFilter(must=(late, other)).matches(METADATA)
    assert MetadataFilter(must_not=(early, other)).matches(METADATA)
    assert not MetadataFilter(must_not=(early, guide)).matches(METADATA)
    assert MetadataFilter(should=(other, late)).matches(METADATA)
    assert not MetadataFilter(should=(other, early)).matches(METADATA)
    assert not MetadataFilter(must=(late,), must_not=(guide,), should=(late,)).matches(METADATA)


def test_what_a_document_says_of_itself_cannot_hide_where_it_is_from() -> None:
    payload = {"title": "Jobs", "item_name": "forged", "data_source_uuid": "forged"}
    info = {"key": "guide/jobs.md", "data_source": "7d3f", "size": 12, "revision": "1"}
    assert document_metadata(payload, info) == {
        "title": "Jobs",
        "item_name": "guide/jobs.md",
        "data_source_uuid": "7d3f",
        "size_in_bytes": 12,
    }
    assert document_metadata(None, None) == {}
