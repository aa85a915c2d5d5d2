"""Headings of Markdown: titles and places, and nothing that only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.readers import markdown_headings as module
from indexmill.readers.extracted_text import MAX_PLACES
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
        ("# a b #c\n# #\n## d ## \n", [(1, "a b #c"), (2, "d")]),
        ("# a\n===\n```\n```\n---\n", [(1, "a")]),
        ("", []),
    ],
)
def test_headings(text: str, expected: list[tuple[int, str]]) -> None:
    found = markdown_headings(text)
    assert [(each.level, each.title) for each in found] == expected
    assert all(each.title in _line(text, each.start) for each in found)


def _line(text: str, start: int) -> str:
    assert start == 0 or text[start - 1] == "\n"
    return text[start:].partition("\n")[0]


@given(st.text(alphabet="#=-` \nab~>\t1.", max_size=200))
def test_every_title_stands_where_it_says(text: str) -> None:
    found = markdown_headings(text)
    assert all(each.title and each.title in _line(text, each.start) for each in found)
    assert [each.start for each in found] == sorted({each.start for each in found})


def test_no_more_headings_are_found_than_are_kept() -> None:
    found = markdown_headings("# a\n" * (MAX_PLACES + 10))
    assert len(found) == MAX_PLACES
    assert found[-1].start == 4 * (MAX_PLACES - 1)


def test_lines_that_only_look_like_headings_are_not_looked_at_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_MARKS", 100)
    assert [each.title for each in markdown_headings("```\n" * 98 + "# in\n" + "```\n" * 100 + "# behind")] == ["in"]


def test_a_heading_of_spaces_takes_no_longer_than_it_is_long() -> None:
    """A pattern that tries every space as the title's end would take the square of the line, here a minute."""
    found = markdown_headings(("# a" + " " * 1900 + "b\n") * 2000)
    assert len(found) == 2000


def test_a_long_search_can_be_stopped() -> None:
    class Stop(Exception):
        pass

    def check() -> None:
        raise Stop

    with pytest.raises(Stop):
        markdown_headings("# a\n", check)
