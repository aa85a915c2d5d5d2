"""Bodies: items come back as they went in, batches close where they must, equal requests have equal digests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexmill.domain import bodies
from indexmill.domain.bodies import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ITEMS,
    Body,
    DistinctIds,
    RequestDigest,
    UnreadableBody,
    decode_body,
    decode_head,
    pack,
)
from indexmill.domain.document import canonical_json
from indexmill.domain.job import Item
from indexmill.errors import InvalidRequest

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)
objects = st.none() | st.dictionaries(text, values, max_size=4)
items = st.builds(Item, text, objects, objects)


def packed(given_items: list[Item], *parts: str) -> tuple[list[Body], bytes]:
    digest = RequestDigest(*parts)
    return list(pack(given_items, digest, DistinctIds())), digest.value()


def read(body: Body) -> list[Item]:
    return [Item(each.object_id, each.payload, each.item_info) for each in decode_body(body.data)]


@given(st.lists(items, max_size=30))
def test_items_come_back_as_they_went_in(given_items: list[Item]) -> None:
    made, _ = packed(given_items)
    assert [item for body in made for item in read(body)] == given_items


@given(st.integers(0, 1100))
def test_batches_close_at_256_items_and_number_them_through(count: int) -> None:
    made, _ = packed([Item(f"d{n}") for n in range(count)])
    assert [body.items for body in made[:-1]] == [MAX_BATCH_ITEMS] * (len(made) - 1)
    assert [body.first_position for body in made] == list(range(0, count, MAX_BATCH_ITEMS))
    assert sum(body.items for body in made) == count
    assert all(body.items for body in made)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=60))
def test_batches_close_before_they_pass_their_bytes(sizes: list[int]) -> None:
    limit = 1000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "MAX_BATCH_BYTES", limit)
        made, _ = packed([Item("d", {"text": "x" * size}) for size in sizes])
    assert all(body.size <= limit for body in made)
    assert [body.first_position for body in made] == [sum(each.items for each in made[:n]) for n in range(len(made))]
    for before, after in itertools.pairwise(made):
        first = packed(read(after)[:1])[0][0].size
        assert before.size + first > limit, "closed although the next item would have fitted"


def test_an_item_over_the_limit_has_a_batch_to_itself() -> None:
    made, _ = packed([Item("a"), Item("large", {"text": "x" * (MAX_BATCH_BYTES + 1)}), Item("b")])
    assert [body.items for body in made] == [1, 1, 1]
    assert made[1].size > MAX_BATCH_BYTES
    assert len(made[1].data) < made[1].size / 100, "compressed"


def test_one_batch_is_held_in_memory_not_the_request() -> None:
    taken: list[int] = []

    def source() -> Iterator[Item]:
        for number in range(10_000):
            taken.append(number)
            yield Item(f"d{number}")

    made = pack(source(), RequestDigest(), DistinctIds())
    next(made)
    assert len(taken) == MAX_BATCH_ITEMS + 1


def test_a_small_body_is_stored_uncompressed() -> None:
    made, _ = packed([Item("a", {"text": "one"})])
    assert b'{"text":"one"}' in made[0].data


fixed_items = items.filter(lambda item: "\0" not in item.object_id and "source" not in (item.item_info or {}))


@settings(max_examples=30)
@given(st.lists(fixed_items, min_size=1, max_size=8), st.lists(fixed_items, min_size=1, max_size=8))
def test_items_have_equal_digests_where_they_are_equal_and_ids_come_without_the_items(
    one: list[Item], two: list[Item]
) -> None:
    def told(given_items: list[Item]) -> list[str]:
        return [canonical_json([item.object_id, item.payload, item.item_info]) for item in given_items]

    heads = [decode_head(packed(each)[0][0].data) for each in (one, two)]
    assert [head.ids for head in heads] == [[item.object_id for item in each] for each in (one, two)]
    assert [head.items for head in heads] == [len(one), len(two)]
    digests = [[head.digests[n * 16 : n * 16 + 16] for n in range(head.items)] for head in heads]
    assert len(set(digests[0] + digests[1])) == len(set(told(one) + told(two)))
    assert bytes(16) not in digests[0]


@pytest.mark.parametrize(
    ("item", "made_here"),
    [
        (Item("a\0b", {"text": "x"}), False),
        (Item("a", None, {"source": "uri", "uri": "https://example.org/a"}), False),
        (Item("a", None, {"source": "uri", "uri": "https://example.org/a"}), True),
        # A caller cannot make what only this service makes.
        (Item("a", None, {"source": "text", "value": "x"}), False),
    ],
)
def test_what_may_change_by_itself_or_cannot_be_stored_is_equal_to_nothing(item: Item, made_here: bool) -> None:
    digest = RequestDigest()
    bodies_made = list(pack([Item("before"), item], digest, DistinctIds(), is_upload=made_here))
    found = b"".join(decode_head(body.data).digests for body in bodies_made)
    assert found[16:] == bytes(16)
    assert found[:16] != bytes(16)
    other = RequestDigest()
    list(pack([Item("before"), Item(item.object_id, {"text": "other"}, item.item_info)], other, DistinctIds()))
    assert digest.value() != other.value(), "the request still knows what it was"


def test_the_text_of_an_upload_is_as_fixed_as_any_payload() -> None:
    [body] = pack([Item("a", None, {"source": "text", "value": "x"})], RequestDigest(), DistinctIds(), is_upload=True)
    assert decode_head(body.data).digests != bytes(16)


@settings(max_examples=30)
@given(st.lists(items, min_size=1, max_size=5), st.data())
def test_a_damaged_beginning_is_noticed(given_items: list[Item], data: st.DataObject) -> None:
    whole = packed(given_items)[0][0].data
    head = decode_head(whole)
    end = len(whole) if data.draw(st.booleans()) else 13 + len(head.ids_json) + len(head.digests)
    place = data.draw(st.integers(0, 12 + len(head.ids_json) + len(head.digests)))
    changed = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 : end]
    for damaged in (changed, whole[:place]):
        with pytest.raises(UnreadableBody):
            decode_head(damaged)


@given(st.lists(items, max_size=8), st.lists(items, max_size=8))
def test_requests_have_equal_digests_where_they_are_equal(one: list[Item], two: list[Item]) -> None:
    def canonical(given_items: list[Item]) -> list[str]:
        return [canonical_json([item.object_id, item.payload, item.item_info]) for item in given_items]

    assert (packed(one)[1] == packed(two)[1]) == (canonical(one) == canonical(two))


def test_a_digest_knows_where_its_pieces_end() -> None:
    assert RequestDigest("ab", "c").value() != RequestDigest("a", "bc").value()
    assert RequestDigest("a").value() != RequestDigest("a", "").value()
    assert packed([Item("a")], "upsertion", "m")[1] != packed([Item("a")], "deletion", "m")[1]


def test_nothing_null_and_empty_are_different_requests() -> None:
    different = [Item("a"), Item("a", {}), Item("a", None, {}), Item("a", {}, {}), Item("a", {"x": None})]
    assert len({packed([item])[1] for item in different}) == len(different)


def test_keys_in_another_order_are_the_same_request() -> None:
    assert packed([Item("a", {"x": 1, "y": 2})])[1] == packed([Item("a", {"y": 2, "x": 1})])[1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", b"bytes", {1: "x", "1": "y"}, object()])
def test_what_json_cannot_hold_is_refused_with_the_item_s_name(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="item 'bad'"):
        packed([Item("fine"), Item("bad", {"x": value})])


def test_what_is_fetched_is_a_batch_of_its_own_and_a_weight_counts_as_bytes() -> None:
    fetched = {"source": "uri", "uri": "https://example.org/a"}
    given_items = [
        Item("a"), Item("b", None, fetched), Item("c", None, fetched), Item("d", None, {"about": fetched}), Item("e"),
        Item("f", None, {"source": "text", "value": "x"}), Item("g", weight=1 << 40), Item("h"),
    ]  # fmt: skip
    made, _ = packed(given_items)
    assert [[item.object_id for item in read(body)] for body in made] == [
        ["a"], ["b"], ["c"], ["d", "e", "f"], ["g"], ["h"],
    ]  # fmt: skip
    assert all(body.size < 2**31 for body in made)
    assert made[1].size > MAX_BATCH_BYTES
