"""`http://` and `https://`: redirects followed by hand, every address checked, sizes and times bounded."""

from __future__ import annotations

import ssl
from pathlib import Path

from indexmill.errors import InvalidRequest, SourceRefused
from indexmill.settings import SourceSettings
from indexmill.sources.checked_network import Resolve, resolve
from indexmill.sources.http_client import HttpClient, HttpResponse, HttpUrl, check_status, parse_url
from indexmill.sources.source import Check, Deadline, FetchedSource, IncomingFile, go_on, too_large, unavailable

__all__ = ["HttpSource"]


class HttpSource:
    """Files on web servers."""

    def __init__(
        self,
        settings: SourceSettings,
        folder: Path,
        *,
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._client = HttpClient(settings, resolve=resolve, ssl_context=ssl_context)
        self._max_bytes = settings.max_bytes
        self._max_redirects = settings.max_redirects
        self._timeout = settings.timeout_seconds
        self._folder = folder

    def check(self, uri: str) -> None:
        url = parse_url(uri)
        self._client.policy.check_host(url.host, url.port)

    def fetch(self, uri: str, check: Check = go_on) -> FetchedSource:
        deadline = Deadline(self._timeout, check)
        url = parse_url(uri)
        origin, userinfo = url.origin, url.userinfo
        for _ in range(self._max_redirects + 1):
            answer = self._get(url, userinfo if url.origin == origin else None, deadline)
            if isinstance(answer, FetchedSource):
                return answer
            # A redirect cannot bring credentials along, and ours do not leave their host.
            url = _parse_redirect(answer)
        raise unavailable(
            f"The source redirects more than {self._max_redirects} times; name its last address, "
            "or raise `sources.max_redirects`",
            retryable=False,
        )

    def _get(self, url: HttpUrl, userinfo: str | None, deadline: Deadline) -> FetchedSource | str:
        """The bytes, or the address that they have moved to."""
        with self._client.get(url, deadline, userinfo=userinfo) as response:
            if response.redirect is not None:
                return response.redirect
            check_status(response.status, url.host)
            return self._receive(response)

    def _receive(self, response: HttpResponse) -> FetchedSource:
        if response.announced_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        with IncomingFile(self._folder, self._max_bytes) as incoming:
            for chunk in response.body():
                incoming.write(chunk)
            return incoming.keep(response.file_name, response.media_type)


def _parse_redirect(location: str) -> HttpUrl:
    try:
        return parse_url(location)
    except InvalidRequest as error:
        raise SourceRefused("The source redirects to something that is not http or https") from error
