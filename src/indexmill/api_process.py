"""The API's process: `python -m indexmill.api_process`, started and watched by `indexmill serve`."""

from __future__ import annotations

import logging

from indexmill.assembly import build_service, deploy_default_model
from indexmill.errors import ServiceError
from indexmill.http.server import run_server
from indexmill.worker.child import inherit

__all__ = ["main"]

_log = logging.getLogger(__name__)


def main() -> None:
    inherited = inherit()
    try:
        with build_service(inherited.settings, inherited.url) as service:
            # Before it listens: the first request finds a model.
            deploy_default_model(service)
            run_server(service)
    except ServiceError as error:
        # Its sentence says all that there is to know; the supervisor tries again.
        _log.error("the API cannot run: %s", error)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
