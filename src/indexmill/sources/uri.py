"""One way in for everything that a URI or a path names: checked at admission, fetched by the worker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import InvalidRequest, ItemError, SourceRefused
from indexmill.settings import Settings, SourceSettings
from indexmill.sources.bucket import BucketSource
from indexmill.sources.checked_network import Resolve, resolve
from indexmill.sources.data_uri import DataUriSource
from indexmill.sources.http_source import HttpSource
from indexmill.sources.local_files import LocalFiles, inbox
from indexmill.sources.source import (
    Check,
    FetchedSource,
    Source,
    clean_file_name,
    file_name_of_path,
    go_on,
    private_folder,
    remove_leftovers,
)

__all__ = ["Sources", "file_name_of", "open_sources"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
#: A fetch takes `sources.timeout_seconds`, what is made of it a window's deadline; what is older, nobody holds.
_LEFTOVER_SECONDS: Final = 3600.0


class Sources:
    """Every kind of source. Safe to share between threads."""

    def __init__(self, settings: SourceSettings, data_folder: Path, *, resolve: Resolve = resolve) -> None:
        self._data_folder = data_folder
        self._fetched = data_folder / "fetched"
        http = HttpSource(settings, self._fetched, resolve=resolve)
        local = LocalFiles(settings, self._fetched, data_folder)
        self._sources: dict[str, Source] = {
            "http": http,
            "https": http,
            "s3": BucketSource(settings, self._fetched),
            "data": DataUriSource(settings, self._fetched),
            "file": local,
            "": local,
        }

    def prepare(self) -> None:
        """Make the folders: the inbox, and that of the fetched files; for this user only."""
        inbox(self._data_folder)
        private_folder(self._fetched)

    def check_uri(self, uri: str) -> None:
        """Whether `uri` would be read at all, without contacting anything. Cheap, except for large `data:` URIs.

        Raises:
            SourceRefused: it is forbidden; names the setting that would allow it.
            InvalidRequest: it is nothing that can be read.
        """
        self._source(uri).check(uri)

    def fetch(self, uri: str, check: Check = go_on) -> FetchedSource:
        """The bytes, in a file that the `with` block of the answer removes.

        Raises:
            ItemError: they cannot be had (`source_forbidden`, `source_unavailable`, `too_large`).
            TransientError: waiting helps.
            What `check` raises: it is called between the pieces, and now and then while nothing comes.
        """
        private_folder(self._fetched)
        try:
            return self._source(uri).fetch(uri, check)
        except SourceRefused as error:
            raise ItemError(Stage.LOAD, FailureCode.SOURCE_FORBIDDEN, str(error), retryable=False) from error
        except InvalidRequest as error:
            raise ItemError(Stage.LOAD, FailureCode.SOURCE_UNAVAILABLE, str(error), retryable=False) from error

    def remove_leftovers(self) -> int:
        """Remove the fetched files of processes that were killed; how many."""
        return remove_leftovers(self._fetched, _LEFTOVER_SECONDS)

    def _source(self, uri: str) -> Source:
        scheme = _scheme(uri)
        if scheme not in self._sources:
            raise InvalidRequest(
                f"URI: expected http(s)://, s3://, data:, file:// or a local path, got the scheme `{scheme[:40]}`"
            )
        return self._sources[scheme]


def open_sources(settings: Settings) -> Sources:
    """
    Raises:
        SettingsError: `sources.allowed_hosts` cannot be read.
    """
    return Sources(settings.sources, settings.data_folder)


def file_name_of(uri: str) -> str | None:
    """The file name that a URI or path ends with, without asking for it; None where it has none."""
    scheme = _scheme(uri)
    if scheme == "data":
        return None
    if scheme in {"http", "https"}:
        after_host = re.split(r"[?#]", uri, maxsplit=1)[0].partition("://")[2].partition("/")[2]
        return file_name_of_path(after_host)
    if scheme == "file":
        return file_name_of_path(uri)
    return clean_file_name(uri)


def _scheme(uri: str) -> str:
    found = _SCHEME.match(uri)
    return found[1].lower() if found else ""
