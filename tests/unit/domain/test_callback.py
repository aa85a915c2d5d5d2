"""What a caller may ask to be told: the documented form, within limits, on exchanges that the operator allows."""

from __future__ import annotations

from typing import Any

import pytest

from indexmill.domain.callback import checked_callback
from indexmill.errors import Forbidden, InvalidRequest

ALLOWED = ("main", "other")


def test_the_documented_form_is_kept() -> None:
    asked = {
        "amqp": {"exchange": "main", "routing_key_done": "d", "routing_key_progress": None, "routing_key_error": "e"},
        "properties": {"key": ["value", 1, None, {"deep": "\\\\u0000 is no NUL"}]},
    }
    assert checked_callback(asked, ALLOWED) == {
        "amqp": {"exchange": "main", "routing_key_done": "d", "routing_key_error": "e"},
        "properties": asked["properties"],
    }


@pytest.mark.parametrize("properties", [{}, {"properties": None}, {"properties": {}}])
def test_properties_may_be_left_out_and_unknown_fields_are(properties: dict[str, Any]) -> None:
    asked = {"amqp": {"exchange": "main", "vhost": "/"}, "http": 1, **properties}
    assert checked_callback(asked, ALLOWED) == {"amqp": {"exchange": "main"}, "properties": {}}


@pytest.mark.parametrize("allowed", [(), ("other",), ("Main",), ("mai",)])
def test_an_exchange_that_the_setting_does_not_name_is_forbidden_with_the_setting_s_name(
    allowed: tuple[str, ...],
) -> None:
    with pytest.raises(Forbidden, match=r"callbacks\.allowed_exchanges.*'main'"):
        checked_callback({"amqp": {"exchange": "main"}}, allowed)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (None, "callback: expected"),
        ([], "callback: expected"),
        ({}, "callback: expected"),
        ({"amqp": "main"}, "callback: expected"),
        ({"amqp": {}}, "callback.amqp.exchange"),
        ({"amqp": {"exchange": ""}}, "callback.amqp.exchange"),
        ({"amqp": {"exchange": 7}}, "callback.amqp.exchange"),
        ({"amqp": {"exchange": "ä" * 128}}, "callback.amqp.exchange"),
        ({"amqp": {"exchange": "ma\0in"}}, "callback.amqp.exchange"),
        ({"amqp": {"exchange": "\ud800"}}, "callback.amqp.exchange"),
        ({"amqp": {"exchange": "main", "routing_key_done": "x" * 256}}, "callback.amqp.routing_key_done"),
        ({"amqp": {"exchange": "main"}, "properties": []}, "callback.properties"),
        ({"amqp": {"exchange": "main"}, "properties": {"k": "v" * 16_385}}, "callback.properties"),
        ({"amqp": {"exchange": "main"}, "properties": {"k": float("nan")}}, "callback.properties"),
        ({"amqp": {"exchange": "main"}, "properties": {"k": "\ud800"}}, "callback.properties"),
        ({"amqp": {"exchange": "main"}, "properties": {"k": ["a\0b"]}}, "NUL"),
        ({"amqp": {"exchange": "main"}, "properties": {"a\0b": 1}}, "NUL"),
        ({"amqp": {"exchange": "main"}, "properties": {"k": "\\\0"}}, "NUL"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(asked: object, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        checked_callback(asked, ALLOWED)
