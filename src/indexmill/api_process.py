"""The API's process: `python -m indexmill.api_process`, started and watched by `indexmill serve`."""

from __future__ import annotations

from indexmill.assembly import build_service, deploy_default_model
from indexmill.http.server import run_server
from indexmill.worker.child import inherit

__all__ = ["main"]


def main() -> None:
    inherited = inherit()
    with build_service(inherited.settings, inherited.url) as service:
        # Before it listens: the first request finds a model.
        deploy_default_model(service)
        run_server(service)


if __name__ == "__main__":
    main()
