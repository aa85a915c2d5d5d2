"""Hostile requests, as bytes: each must be refused in words, or leave its neighbours unharmed."""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["ACCEPTED_ITEMS", "REFUSED_BODIES", "run_body"]


def run_body(items: str | list[Any], model: str = "embed-123") -> bytes:
    """A run request; `items` as JSON text may hold what `json.dumps` would never write."""
    text = items if isinstance(items, str) else json.dumps(items)
    return f'{{"embedding_model_id": {json.dumps(model)}, "items": {text}}}'.encode()


def payload_body(payload: bytes) -> bytes:
    return run_body("[@]").replace(b"@", b'{"object_id": "a", "payload": ' + payload + b"}")


#: Name -> body. The answer is a 4xx, in the door's shape.
REFUSED_BODIES: Final[dict[str, bytes]] = {
    "no body": b"",
    "not JSON": b"items=1",
    "half a body": run_body([{"object_id": "a"}])[:-5],
    "a list": b"[]",
    "a string": b'"x"',
    "NaN": payload_body(b'{"n": NaN}'),
    "Infinity": payload_body(b'{"n": Infinity}'),
    "a float that overflows": payload_body(b'{"n": 1e999}'),
    "an integer of 5,000 digits": payload_body(b'{"n": ' + b"9" * 5000 + b"}"),
    "invalid UTF-8": payload_body(b'{"text": "\xff\xfe"}'),
    "overlong UTF-8": payload_body(b'{"text": "\xc0\xaf"}'),
    "a lone surrogate escaped": payload_body(b'{"text": "\\ud800"}'),
    "a lone surrogate encoded": payload_body(b'{"text": "\xed\xa0\x80"}'),
    "100,000 open brackets": payload_body(b"[" * 100_000),
    "500 levels": payload_body(b'{"n": ' + b"[" * 500 + b"]" * 500 + b"}"),
    "UTF-16": run_body([{"object_id": "a"}]).decode().encode("utf-16"),
    "an object id of 513 characters": run_body([{"object_id": "x" * 513}]),
    "an empty object id": run_body([{"object_id": ""}]),
    "an object id with NUL": run_body([{"object_id": "a\0b"}]),
    "an integer as object id": run_body([{"object_id": 1}]),
    "a list as payload": run_body([{"object_id": "a", "payload": ["text"]}]),
    "a model id with NUL": run_body([], model="a\0b"),
    "a model id of 256 characters": run_body([], model="x" * 256),
    "a model that is SQL": run_body([], model="'; DROP TABLE job; --"),
}

#: Name -> one item that must be taken: indexed, or failed alone.
ACCEPTED_ITEMS: Final[dict[str, str]] = {
    "NUL in the text": '{"object_id": "h", "payload": {"text": "a\\u0000b"}}',
    "NUL in a key": '{"object_id": "h", "payload": {"te\\u0000xt": "a", "text": "b"}}',
    "NUL in item_info": '{"object_id": "h", "payload": {"text": "b"}, "item_info": {"a": "\\u0000"}}',
    "a 10 MB text": '{"object_id": "h", "payload": {"text": "' + "lorem ipsum " * 833_333 + '"}}',
    "a 10 MB word": '{"object_id": "h", "payload": {"text": "' + "x" * 10_000_000 + '"}}',
    "150 levels": '{"object_id": "h", "payload": {"text": "a", "n": ' + "[" * 150 + "]" * 150 + "}}",
    "keys that come twice": '{"object_id": "no", "object_id": "h", "payload": {"text": "a", "text": "b"}}',
    "an id with quotes and SQL": '{"object_id": "\'\\";DROP TABLE job;--%s%(a)s\\\\x00", "payload": {"text": "a"}}',
    "an id of 512 astral characters": '{"object_id": "' + "\U0001f680" * 512 + '", "payload": {"text": "a"}}',
    "an integer of 4,000 digits": '{"object_id": "h", "payload": {"text": "a", "n": ' + "9" * 4000 + "}}",
    "a tiny float": '{"object_id": "h", "payload": {"text": "a", "n": 1e-400}}',
    "no text": '{"object_id": "h", "payload": {}}',
    "no payload": '{"object_id": "h"}',
    "a number as text": '{"object_id": "h", "payload": {"text": 7}}',
    "a null text": '{"object_id": "h", "payload": {"text": null}}',
    "an empty text": '{"object_id": "h", "payload": {"text": ""}}',
    "only spaces": '{"object_id": "h", "payload": {"text": " \\n\\t "}}',
    "noncharacters and marks": '{"object_id": "h", "payload": {"text": "\\uffff\\ufeff\\u202e\\u0300\\u0300"}}',
    "an unreadable source": '{"object_id": "h", "item_info": {"source": "file", "path": "/etc/passwd"}}',
    "a source of a wrong type": '{"object_id": "h", "item_info": {"source": {"a": [1]}}}',
    "many keys": json.dumps({"object_id": "h", "payload": {"text": "a"} | {f"k{n}": n for n in range(20_000)}}),
}
