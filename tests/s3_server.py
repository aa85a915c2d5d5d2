"""A real S3 server process of a test's own: moto on loopback, buckets in its memory."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import Any

import boto3
import httpx

from indexmill.settings import S3Settings
from tests.running_service import free_port, wait_until

__all__ = ["S3Server"]


class S3Server:
    """Any credentials are taken."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> S3Server:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(self._answers, 100, "the S3 server")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def client(self) -> Any:
        """The vendor's own client."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def settings(self, **more: Any) -> S3Settings:
        return S3Settings.model_validate(
            {
                "endpoint": self.url,
                "region": "us-east-1",
                "access_key_id": "test",
                "secret_access_key": "test",
                "allow_http": True,
            }
            | more
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the S3 server has ended"
        try:
            # Its first answer takes its time: it imports what it answers with.
            return httpx.get(f"{self.url}/moto-api/", timeout=60, trust_env=False).is_success
        except httpx.TransportError:
            return False
