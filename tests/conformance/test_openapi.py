"""Schemathesis against the OpenAPI document: no 5xx, no undocumented status, answers as documented."""

from __future__ import annotations

from typing import Any, cast

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from indexmill.http.app import create_app
from indexmill.http.service import Service
from tests.unit.http.fake_service import FakeService

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


# Made at import: the pytest of today breaks schemathesis' fixture loader.
schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(cast("Service", FakeService())))


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_answers_as_documented(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(checks=CHECKS)
