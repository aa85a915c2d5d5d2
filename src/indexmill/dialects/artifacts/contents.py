"""A document's text as this door gives it: Markdown or a tree by its headings; whole, some nodes, so many tokens."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from indexmill.dialects.artifacts.wire import ContentBody, ContentFilter
from indexmill.engine import Engine
from indexmill.vectors.stored_documents import DocumentContent

__all__ = ["content_of", "filtered", "markdown_of", "tree_of"]


def content_of(document: DocumentContent, wanted: ContentBody, engine: Engine, model: str) -> bytes:
    """The JSON of one element of `data`; `model` counts the tokens."""
    text, limit = document.text or "", wanted.max_tokens
    if wanted.format == "markdown":
        if wanted.filter is not None:
            text = markdown_of(filtered(_tree(document, text), wanted.filter))
        content: Any = text if limit is None else text[: engine.fitting(model, text, limit)]
    else:
        content = _tree(document, text if limit is None else text[: engine.fitting(model, text, limit)])
        if wanted.filter is not None:
            content = filtered(content, wanted.filter)
    return to_json({"artifact_id": document.id, "content": content})


def _tree(document: DocumentContent, text: str) -> dict[str, Any]:
    headings = [each for each in (document.structure or {}).get("headings", []) if each[0] < len(text)]
    return tree_of(document.id, text, headings)


def filtered(root: dict[str, Any], wanted: ContentFilter) -> dict[str, Any]:
    """The tree with the nodes that are wanted, each below the nearest that is; the root stays."""
    # Sets: a document has up to a hundred thousand headings, and each is looked for.
    named = {name: frozenset(getattr(wanted, name) or ()) for name in ("node_ids", "include", "exclude")}
    wanted = wanted.model_copy(update=named)
    is_inside = bool(wanted.node_ids) and root["id"] in (wanted.node_ids or ()) and wanted.include_children
    return {**root, "children": _kept_below(root, wanted, is_inside=is_inside)}


def _kept_below(node: dict[str, Any], wanted: ContentFilter, *, is_inside: bool) -> list[dict[str, Any]]:
    return [each for child in node["children"] for each in _kept(child, wanted, is_inside=is_inside)]


def _kept(node: dict[str, Any], wanted: ContentFilter, *, is_inside: bool) -> list[dict[str, Any]]:
    """The node with what is kept below it, or only that. `is_inside`: a node above it brings all below it."""
    is_chosen = is_inside or not wanted.node_ids or node["id"] in wanted.node_ids
    below = _kept_below(node, wanted, is_inside=is_chosen and bool(wanted.node_ids) and wanted.include_children)
    has_type = (not wanted.include or node["type"] in wanted.include) and node["type"] not in (wanted.exclude or ())
    is_ancestor = wanted.include_ancestors and bool(below)
    return [{**node, "children": below}] if has_type and (is_chosen or is_ancestor) else below


def markdown_of(root: dict[str, Any], depth: int = 0) -> str:
    """The texts of the tree below headings."""
    pieces = []
    if root["content"]:
        is_section = root["type"] == "SectionNode"
        pieces.append(f"{'#' * min(depth, 6)} {root['content']}" if is_section and depth else root["content"])
    pieces += [markdown_of(child, depth + 1) for child in root["children"]]
    return "\n\n".join(filter(None, pieces))


def tree_of(artifact: str, text: str, headings: list[list[Any]]) -> dict[str, Any]:
    """The document as sections below one another by the level of their headings `[start, level, title]`."""
    root: dict[str, Any] = {"id": artifact, "type": "SectionNode", "content": "", "children": []}
    open_sections: list[tuple[int, dict[str, Any]]] = [(0, root)]
    starts = [0, *(each[0] for each in headings), len(text)]
    _add_text(root, text[: starts[1]])
    for number, (_, level, title) in enumerate(headings, 1):
        while len(open_sections) > 1 and open_sections[-1][0] >= level:
            open_sections.pop()
        section = {"id": f"{artifact}#{number}", "type": "SectionNode", "content": title, "children": []}
        open_sections[-1][1]["children"].append(section)
        open_sections.append((level, section))
        # Without the line of the heading itself.
        _add_text(section, text[starts[number] : starts[number + 1]].partition("\n")[2])
    return root


def _add_text(section: dict[str, Any], text: str) -> None:
    if text.strip():
        node = {"id": f"{section['id']}.text", "type": "TextNode", "content": text.strip(), "children": []}
        section["children"].append(node)
