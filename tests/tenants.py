"""A whole service in the test's process, with tenants and their keys, behind real HTTP parsing."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pydantic import SecretStr
from starlette.testclient import TestClient

from indexmill.assembly import Service, build_service, deploy_default_model
from indexmill.domain.api_key import new_api_key
from indexmill.domain.principal import Role
from indexmill.http.app import create_app
from indexmill.settings import ArtifactSettings, DatabaseSettings, ServerSettings, Settings

__all__ = ["Tenanted", "shared_settings", "tenanted"]

_numbers = itertools.count(1)
SECRET_KEY = base64.b64encode(b"k" * 32).decode()


@dataclass
class Tenanted:
    service: Service
    http: TestClient

    def key(self, tenant: str, role: str = "admin", seconds: float | None = None) -> str:
        """A new key of this tenant."""
        new = new_api_key()
        owner = self.service.ledger.tenants.ensure(tenant)
        self.service.ledger.api_keys.add(new, owner.id, "test", Role(role), seconds)
        # As after the few seconds in which a process goes by what it has seen.
        self.service.authenticator._looked_at = float("-inf")
        return new.text

    def forget(self) -> None:
        """As after those few seconds."""
        self.service.authenticator._looked_at = float("-inf")
        self.service.authenticator._remembered.clear()
        self.service.limits._known.clear()

    def ask(self, key: str | None, method: str, path: str, body: Any = None, **options: Any) -> Any:
        headers = options.pop("headers", {}) | ({"x-api-key": key} if key else {})
        return self.http.request(method, path, json=body, headers=headers, **options)


@contextmanager
def shared_settings(postgres_url: str, folder: Path) -> Iterator[Settings]:
    """Settings of a service on a database of its own, for all tests of a module: making one takes longer than most."""
    name = f"tenants_{os.getpid()}_{next(_numbers)}"
    base, mark, query = postgres_url.partition("?")
    url = f"{base.rpartition('/')[0]}/{name}{mark}{query}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template_indexmill").format(sql.Identifier(name)))
        yield Settings(data_folder=folder / "data", database=DatabaseSettings(url=url, direct_url=url))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def tenanted(settings: Settings, **sections: Any) -> Iterator[Tenanted]:
    """On the database of these settings. No workers run."""
    wanted = settings.model_copy(
        update={
            "server": ServerSettings(port=0, secret_key=SecretStr(SECRET_KEY)),
            "artifacts": ArtifactSettings(sync_timeout_seconds=0.05),
            **sections,
        }
    )
    service = build_service(wanted)
    try:
        deploy_default_model(service)
        with TestClient(create_app(service), base_url="http://localhost", raise_server_exceptions=False) as http:
            yield Tenanted(service, http)
    finally:
        service.ledger.database.close()
