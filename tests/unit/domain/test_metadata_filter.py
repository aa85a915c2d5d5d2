"""What is known of a document, and which filters leave nothing out."""

from __future__ import annotations

from indexmill.domain.metadata_filter import Condition, MetadataFilter, Operator, document_metadata


def test_a_filter_without_conditions_is_empty() -> None:
    late = (Condition("year", Operator.GT, 2020),)
    assert MetadataFilter().is_empty
    assert not any(
        each.is_empty for each in (MetadataFilter(late), MetadataFilter((), late), MetadataFilter((), (), late))
    )


def test_what_a_document_says_of_itself_cannot_hide_where_it_is_from() -> None:
    payload = {"title": "Jobs", "item_name": "forged", "data_source_uuid": "forged"}
    info = {"key": "guide/jobs.md", "data_source": "7d3f", "size": 12, "revision": "1"}
    assert document_metadata(payload, info) == {
        "title": "Jobs",
        "item_name": "guide/jobs.md",
        "data_source_uuid": "7d3f",
    }
    assert document_metadata(None, None) == {}
