"""Pages and headings of chunks."""

from __future__ import annotations

from indexmill.pipeline.places import Place, places
from indexmill.readers.extracted_text import Heading, Page

PAGES = [Page(0, 1), Page(100, 2), Page(100, 3), Page(200, 4)]
HEADINGS = [Heading(10, 1, "One"), Heading(50, 2, "Sub"), Heading(120, 1, "Two"), Heading(150, 3, "Deep")]


def test_pages_are_those_that_the_chunk_touches() -> None:
    spans = [(0, 100), (90, 101), (100, 150), (150, 250), (250, 300)]
    found = [(each.first_page, each.last_page) for each in places(spans, PAGES, [])]
    assert found == [(1, 1), (1, 3), (3, 3), (3, 4), (4, 4)]


def test_headings_are_those_above_the_chunk() -> None:
    found = [each.headings for each in places([(0, 9), (10, 49), (50, 120), (120, 149), (155, 160)], [], HEADINGS)]
    assert found == [(), ("One",), ("One", "Sub"), ("Two",), ("Two", "Deep")]


def test_what_is_not_known_is_left_out() -> None:
    assert places([(0, 5)], [], []) == [Place(None, None, ())]
