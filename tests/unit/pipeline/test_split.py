"""Items become spans: whole or in tokens, too many are refused, and a cause that passes fails one item at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.splitting import WHOLE
from indexmill.errors import TransientError
from indexmill.models.embedding_model import Embeddings
from indexmill.pipeline import split
from indexmill.pipeline.split import split_items, split_last_tries
from indexmill.pipeline.window import Reading
from indexmill.readers.extracted_text import Heading
from indexmill.readers.markdown_headings import markdown_headings
from tests.unit.pipeline.items import work_item

LONG = " ".join(f"word{n}" for n in range(40))


@dataclass
class Words:
    """Counts words; texts that hold `!` cannot be counted for now."""

    dimension: int = 4
    asked: list[str] = field(default_factory=list)

    def embed(self, texts: list[str]) -> Embeddings:
        raise AssertionError("splitting embeds nothing")

    def count_tokens(self, texts: list[str]) -> list[int]:
        self.asked += texts
        if any("!" in text for text in texts):
            raise TransientError("The tokeniser is away")
        return [len(text.split()) for text in texts]


def nothing(*_: object) -> None:
    return


def test_a_whole_document_is_one_chunk_and_nothing_is_counted() -> None:
    model, item = Words(), work_item(LONG)
    split_items([item], WHOLE, model, nothing)
    assert item.spans == ((0, len(LONG)),)
    assert model.asked == []


def test_chunks_hold_no_more_tokens_than_asked_for_and_all_of_the_text() -> None:
    item = work_item(LONG)
    split_items([item], "tokens-8-2", Words(), nothing)
    assert all(1 <= len(LONG[start:end].split()) <= 8 for start, end in item.spans)
    assert {word for start, end in item.spans for word in LONG[start:end].split()} == set(LONG.split())


def test_a_chunk_begins_at_a_heading_of_the_file() -> None:
    text = "one two three\nTitle\nfour five six seven"
    item = work_item(text)
    item.reading = Reading("0" * 64, 1, "application/pdf", None, headings=(Heading(text.index("Title"), 1, "Title"),))
    split_items([item], "tokens-6-0", Words(), nothing)
    assert text.index("Title") in {start for start, _ in item.spans}


@pytest.mark.parametrize("limit", ["MAX_CHUNKS", "_MAX_VECTOR_BYTES"])
def test_a_document_of_too_many_chunks_fails_alone(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    # Of 4 dimensions, 16 bytes each.
    monkeypatch.setattr(split, limit, 3 if limit == "MAX_CHUNKS" else 3 * 16)
    large, small = work_item(LONG), work_item("one two", 1)
    split_items([large, small], "tokens-8-0", Words(), nothing)
    assert large.failure is not None
    assert (large.failure.stage, large.failure.code) == (Stage.SPLIT, FailureCode.TOO_MANY_CHUNKS)
    assert "more than the allowed 3" in large.failure.sentence
    assert (small.failure, small.spans) == (None, ((0, 7),))


def test_an_item_s_own_splitting_is_used_instead() -> None:
    text = "# One\n" + "word " * 6 + "\n# Two\n" + "word " * 6
    items = [work_item(text, number) for number in range(4)]
    for item, own in zip(items, [None, "fixed-5", "sections-10", WHOLE], strict=True):
        item.splitting = own
        item.reading = Reading("0" * 64, 1, "text/markdown", None, headings=markdown_headings(text))
    split_items(items, "tokens-16-0", Words(), nothing)
    assert [len(item.spans) for item in items] == [1, 4, 2, 1]


def test_a_document_without_a_chunk_fails() -> None:
    item = work_item(" \n ")
    split_items([item], "tokens-8-0", Words(), nothing)
    assert item.failure is not None
    assert item.failure.code is FailureCode.NO_CONTENT


def test_the_position_is_written_down_before_each_item_that_is_counted() -> None:
    seen: list[object] = []
    split_items([work_item("a"), work_item("b", 1)], "tokens-8-0", Words(), lambda: seen.append("check"), seen.append)
    assert seen[:2] == ["check", 0]
    assert [each for each in seen if each != "check"] == [0, 1]


def test_at_the_last_try_only_what_cannot_be_counted_fails() -> None:
    model = Words()
    done, bad, good = work_item("done!"), work_item("bad!", 1), work_item("good", 2)
    done.spans = ((0, 5),)
    with pytest.raises(TransientError):
        split_items([bad], "tokens-8-0", model, nothing)
    split_last_tries([done, bad, good], "tokens-8-0", model, tries=8, before=nothing)
    assert (done.failure, good.failure, good.spans) == (None, None, ((0, 4),))
    assert bad.failure is not None
    assert (bad.failure.stage, bad.failure.code, bad.failure.retryable) == (
        Stage.SPLIT, FailureCode.TRIES_EXHAUSTED, True,
    )  # fmt: skip
    assert "Given up after 8 tries" in bad.failure.sentence
