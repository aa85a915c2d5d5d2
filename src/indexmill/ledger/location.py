"""Where the ledger is: the configured database, else the embedded one of this data folder."""

from __future__ import annotations

from indexmill.errors import ServiceError
from indexmill.ledger.embedded_postgres import embedded_uri
from indexmill.settings import Settings

__all__ = ["database_url"]


def database_url(settings: Settings) -> str:
    """The ledger's URL: the configured one, else that of the embedded server, which must be running.

    Raises:
        ServiceError: neither is there.
    """
    url = settings.database.url or embedded_uri(settings.data_folder)
    if url is None:
        raise ServiceError(
            "database: expected database.url, or a running `indexmill serve` on this data folder, found neither"
        )
    return url
