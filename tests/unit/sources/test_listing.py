"""Which files of a data source are listed."""

from __future__ import annotations

import pytest

from indexmill.sources.listing import LISTED_TYPES, is_listed


def test_the_types_are_those_that_are_documented() -> None:
    wanted = "csv eml epub xls xlsx html htm md odt pdf txt rst rtf tsv doc docx ppt pptx xml json jsonl"
    assert sorted(LISTED_TYPES) == sorted(wanted.split())


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.pdf", True),
        ("a/b.c.PDF", True),
        (".txt", True),
        ("a.txt/b", False),
        ("a.txt/", False),
        ("txt", False),
        ("a.txt.gz", False),
        ("", False),
        ("a.", False),
    ],
)
def test_the_ending_of_the_name_decides(key: str, expected: bool) -> None:
    assert is_listed(key) is expected
