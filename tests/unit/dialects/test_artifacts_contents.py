"""A document's tree, and what is chosen of it."""

from __future__ import annotations

from typing import Any

import pytest

from indexmill.dialects.artifacts.contents import filtered, markdown_of, tree_of
from indexmill.dialects.artifacts.wire import ContentFilter
from indexmill.readers.markdown_headings import markdown_headings

TEXT = """before

# One

first text

## Two

second text

# Three

third text
"""


@pytest.fixture
def tree() -> dict[str, Any]:
    headings = [[each.start, each.level, each.title] for each in markdown_headings(TEXT, lambda: None)]
    return tree_of("doc", TEXT, headings)


def ids(node: dict[str, Any]) -> list[Any]:
    """Ids nested as the nodes are, without the document's own."""
    below = [ids(child) for child in node["children"]]
    name = node["id"].removeprefix("doc")
    return [name, *below] if name else below


def test_the_tree_of_a_text(tree: dict[str, Any]) -> None:
    assert ids(tree) == [[".text"], ["#1", ["#1.text"], ["#2", ["#2.text"]]], ["#3", ["#3.text"]]]
    assert markdown_of(tree) == TEXT.strip()


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ({}, [[".text"], ["#1", ["#1.text"], ["#2", ["#2.text"]]], ["#3", ["#3.text"]]]),
        ({"include": ["TextNode"]}, [[".text"], ["#1.text"], ["#2.text"], ["#3.text"]]),
        ({"exclude": ["TextNode", "TableNode"]}, [["#1", ["#2"]], ["#3"]]),
        ({"include": ["TableNode"]}, []),
        ({"include": [], "node_ids": []}, [[".text"], ["#1", ["#1.text"], ["#2", ["#2.text"]]], ["#3", ["#3.text"]]]),
        ({"node_ids": ["doc#2"]}, [["#2", ["#2.text"]]]),
        ({"node_ids": ["doc#2"], "include_children": False}, [["#2"]]),
        ({"node_ids": ["doc#2"], "include_ancestors": True}, [["#1", ["#2", ["#2.text"]]]]),
        ({"node_ids": ["doc#1"], "include_children": False, "include_ancestors": True}, [["#1"]]),
        ({"node_ids": ["doc#1", "doc#3.text"], "exclude": ["SectionNode"]}, [["#1.text"], ["#2.text"], ["#3.text"]]),
        ({"node_ids": ["doc"]}, [[".text"], ["#1", ["#1.text"], ["#2", ["#2.text"]]], ["#3", ["#3.text"]]]),
        ({"node_ids": ["doc"], "include_children": False}, []),
        ({"node_ids": ["another"]}, []),
    ],
)
def test_the_nodes_that_are_wanted(tree: dict[str, Any], wanted: dict[str, Any], kept: list[Any]) -> None:
    assert ids(filtered(tree, ContentFilter(**wanted))) == kept


def test_the_markdown_of_what_is_left(tree: dict[str, Any]) -> None:
    left = filtered(tree, ContentFilter(node_ids=["doc#1"]))
    assert markdown_of(left) == "# One\n\nfirst text\n\n## Two\n\nsecond text"
    assert markdown_of(filtered(tree, ContentFilter(include=["TextNode"]))) == (
        "before\n\nfirst text\n\nsecond text\n\nthird text"
    )
