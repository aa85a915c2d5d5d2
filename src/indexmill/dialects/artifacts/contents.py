"""A document's whole text as this door gives it: Markdown, or a tree by its headings, cut to so many tokens."""

from __future__ import annotations

from typing import Any

from indexmill.dialects.artifacts.wire import ContentBody
from indexmill.engine import Engine
from indexmill.vectors.stored_documents import DocumentContent

__all__ = ["content_of", "tree_of"]


def content_of(document: DocumentContent, wanted: ContentBody, engine: Engine, model: str) -> dict[str, Any]:
    """One element of `data`; `model` counts the tokens."""
    text = document.text or ""
    if wanted.max_tokens is not None:
        text = text[: engine.fitting(model, text, wanted.max_tokens)]
    if wanted.format == "markdown":
        return {"artifact_id": document.id, "content": text}
    headings = [each for each in (document.structure or {}).get("headings", []) if each[0] < len(text)]
    return {"artifact_id": document.id, "content": tree_of(document.id, text, headings)}


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
