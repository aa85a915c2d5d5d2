"""The same client and fakes as for the HTTP layer."""

from __future__ import annotations

from tests.unit.http.conftest import client, engine, service

__all__ = ["client", "engine", "service"]
