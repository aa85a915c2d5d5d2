"""An API without workers and sweeps: what lies in its ledger stays as it is."""

from __future__ import annotations

from indexmill.assembly import build_service
from indexmill.http.server import run_server
from indexmill.settings import Settings


def main() -> None:
    service = build_service(Settings())
    try:
        run_server(service)
    finally:
        service.ledger.database.close()


if __name__ == "__main__":
    main()
