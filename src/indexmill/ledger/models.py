"""The deployed embedding models."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.types.json import Jsonb

from indexmill.errors import ModelExists, ModelNotFound
from indexmill.ledger.database import Connection, Database, Row, run_query
from indexmill.models.embedding_model import Deployment

__all__ = ["Models", "deployment_of"]


def deployment_of(row: Row) -> Deployment:
    return Deployment(row["id"], row["provider"], row["settings"], row["dimension"], row["created_at"])


@dataclass(frozen=True)
class Models:
    database: Database

    def deploy(self, connection: Connection, wanted: Deployment, tenant: int) -> tuple[Deployment, bool]:
        """Record the model; True where it was not deployed before.

        Raises:
            ModelExists: the id stands for another definition.
        """
        rows = run_query(
            connection,
            "deploy_model",
            tenant=tenant,
            id=wanted.id,
            provider=wanted.provider,
            settings=Jsonb(wanted.settings),
            dimension=wanted.dimension,
        )
        row = rows[0]
        stored = deployment_of(row)
        if (stored.provider, stored.settings, stored.dimension) != (wanted.provider, wanted.settings, wanted.dimension):
            raise ModelExists(
                f"Embedding model `{wanted.id}` exists with provider `{stored.provider}` and other settings; "
                "its vectors would not fit: choose another id"
            )
        return stored, bool(row["created"])

    def deployed(self, tenant: int) -> list[Deployment]:
        return [deployment_of(row) for row in self.database.query("deployed_models", tenant=tenant)]

    def require(self, model: str, tenant: int) -> Deployment:
        """Raises: ModelNotFound, naming those that are deployed."""
        with self.database.connection() as connection:
            return self.require_with(connection, model, tenant)

    def require_with(self, connection: Connection, model: str, tenant: int) -> Deployment:
        rows = run_query(connection, "deployed_models", tenant=tenant)
        for row in rows:
            if row["id"] == model:
                return deployment_of(row)
        raise ModelNotFound(model, [row["id"] for row in rows])
