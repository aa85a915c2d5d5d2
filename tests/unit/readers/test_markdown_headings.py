"""Headings of Markdown: titles and places, and nothing that only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.readers.markdown_headings import markdown_headings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One\n\ntext\n\n### Three ###\n", [(1, "One"), (3, "Three")]),
        ("One\n===\n\nTwo\n---\n", [(1, "One"), (2, "Two")]),
        ("```\n# no\n```\n# yes", [(1, "yes")]),
        ("~~~~\n# no\n~~~\n# no\n~~~~\n# yes", [(1, "yes")]),
        ("---\ntitle: no\n---\n# yes\n", [(1, "yes")]),
        ("#no\n####### no\n#\n# \n", []),
        ("- item\n---\n\n| a |\n---\n", []),
        ("text\n\n---\n\ntext", []),
        ("    # code", []),
        ("", []),
    ],
)
def test_headings(text: str, expected: list[tuple[int, str]]) -> None:
    found = markdown_headings(text)
    assert [(each.level, each.title) for each in found] == expected
    assert all(text.startswith(each.title, each.start) for each in found)


@given(st.text(alphabet="#=-` \nab~>\t1.", max_size=200))
def test_every_title_stands_where_it_says(text: str) -> None:
    found = markdown_headings(text)
    assert all(each.title and text.startswith(each.title, each.start) for each in found)
    assert [each.start for each in found] == sorted({each.start for each in found})
