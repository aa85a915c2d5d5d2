"""`Extractor`: the text of a document file, read here where it is text already, else by a warm process with limits."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError, TransientError
from indexmill.readers.extracted_text import ExtractedText, Heading, Page
from indexmill.readers.extraction_process import (
    Answer,
    ExtractionProcess,
    Limits,
    ProcessDied,
    ProcessTooSlow,
    ProcessTooTalkative,
)
from indexmill.readers.file_type import FileType
from indexmill.readers.text_file import read_text, too_large
from indexmill.readers.web_page import WebPage
from indexmill.settings import ReaderSettings

__all__ = ["Extractor"]

_log = logging.getLogger(__name__)
#: A process is replaced before what libraries leak adds up.
_MAX_DOCUMENTS: Final = 1000
_MAX_RESIDENT_BYTES: Final = 512 * 1024 * 1024


class Extractor:
    """One a worker process, made there after any fork; not for several threads at once.

    Its own process starts with the first file that needs it, and ends when the thread ends that started it.
    """

    def __init__(self, settings: ReaderSettings, max_text_bytes: int) -> None:
        self._settings = settings
        self._limits = Limits(settings.memory_bytes, settings.max_expansion_bytes, max_text_bytes)
        self._process: ExtractionProcess | None = None

    def extract(self, path: Path, file_type: FileType, *, check: Callable[[], None]) -> ExtractedText:
        """The text of the file, of the type that `detect` gave.

        Raises:
            ItemError: the document has no text that can be had, or needs more than the limits allow.
            TransientError: the extraction process does not start.
            OSError: the file cannot be read.
            What `check` raises: it is called several times a second, to stop waiting.
        """
        if file_type.is_read_as_text:
            return read_text(path, file_type, self._limits.max_text_bytes, check)
        _require("kreuzberg", file_type)
        # Opened here, so that a missing file is this process's error and no document's.
        path.open("rb").close()
        answer = self._ask({"path": str(path), "type": file_type.value}, file_type, check)
        header = self._understood(answer, file_type)
        return ExtractedText(
            answer.text.decode(),
            str(header["media_type"]),
            tuple(Page(*each) for each in header["pages"]),
            tuple(Heading(*each) for each in header["headings"]),
        )

    def read_page(
        self, path: Path, *, charset: str | None, exclude: Sequence[str], seconds: float, check: Callable[[], None]
    ) -> WebPage:
        """The main text of a web page, and its links, within `seconds` and what every file may take.

        `charset`: as its server says; `exclude`: tags, classes, ids.

        Raises:
            As `extract`; a page without text is no error.
        """
        _require("trafilatura", FileType.HTML)
        path.open("rb").close()
        request = {"path": str(path), "page": {"charset": charset, "exclude": list(exclude)}}
        answer = self._ask(request, FileType.HTML, check, seconds)
        return WebPage.of_header(self._understood(answer, FileType.HTML), answer.text.decode())

    def close(self) -> None:
        """End the extraction process; the next document starts another."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _ask(
        self, request: dict[str, Any], file_type: FileType, check: Callable[[], None], seconds: float = float("inf")
    ) -> Answer:
        allowed = min(seconds, self._settings.timeout_seconds)
        deadline = time.monotonic() + allowed
        # A process may be killed from outside, or be spoilt by the document before: so a document has two tries.
        for last in (False, True):
            try:
                return self._ready_process(deadline, check).ask(request, deadline, check)
            except ProcessDied as error:
                self.close()
                _log.warning("%s while it read a %s", error, file_type.label)
                if error.ran_out_of_memory:
                    raise self._memory(file_type) from error
                if last:
                    raise _crashed(file_type) from error
            except ProcessTooSlow as error:
                self.close()
                raise _timeout(file_type, allowed) from error
            except ProcessTooTalkative as error:
                self.close()
                raise too_large(file_type, self._limits.max_text_bytes) from error
            except BaseException:
                # `check` has ended the wait: nobody would read the answer.
                self.close()
                raise
        raise AssertionError("unreachable")

    def _ready_process(self, deadline: float, check: Callable[[], None]) -> ExtractionProcess:
        if self._process is not None and (self._process.documents >= _MAX_DOCUMENTS or not self._process.is_alive):
            self.close()
        if self._process is None:
            self._process = ExtractionProcess(self._limits)
            try:
                self._process.wait_until_ready(deadline, check)
            except ProcessDied as error:
                # No document is to blame.
                _log.error("%s at its start: %s", error, error.last_words)
                raise TransientError("The process that reads documents does not start; see the worker's log") from error
        return self._process

    def _understood(self, answer: Answer, file_type: FileType) -> dict[str, Any]:
        """The header of an answer that holds what was asked for."""
        header = answer.header
        if header.get("out_of_memory"):
            self.close()
            raise self._memory(file_type)
        if "raised" in header:
            _log.warning("%s while reading a %s", header["raised"], file_type.label)
            self.close()
            raise _crashed(file_type)
        if header["resident_bytes"] > _MAX_RESIDENT_BYTES:
            self.close()
        if "code" in header:
            raise ItemError(Stage.EXTRACT, FailureCode(header["code"]), str(header["sentence"]), retryable=False)
        return header

    def _memory(self, file_type: FileType) -> ItemError:
        return _refusal(
            FailureCode.EXTRACTION_LIMIT,
            f"Reading the {file_type.label} takes more than the allowed {self._limits.memory_bytes:,} bytes of memory; "
            "split it or raise `readers.memory_bytes`",
        )


def _require(package: str, file_type: FileType) -> None:
    if importlib.util.find_spec(package) is None:
        raise ItemError(
            Stage.EXTRACT,
            FailureCode.UNSUPPORTED_TYPE,
            f"Reading a {file_type.label} needs the extra `readers`, which is not installed on this worker: "
            "pip install 'indexmill[readers]'",
            retryable=True,
        )


def _timeout(file_type: FileType, seconds: float) -> ItemError:
    return _refusal(
        FailureCode.EXTRACTION_TIMEOUT,
        f"Reading the {file_type.label} takes longer than the allowed {seconds:.3g} seconds; "
        "try again when the machine is less busy, split it or raise `readers.timeout_seconds`",
        retryable=True,
    )


def _crashed(file_type: FileType) -> ItemError:
    return _refusal(
        FailureCode.EXTRACTION_CRASHED,
        f"Reading the {file_type.label} made the extraction process fail; save it again or convert it to another type",
    )


def _refusal(code: FailureCode, sentence: str, *, retryable: bool = False) -> ItemError:
    return ItemError(Stage.EXTRACT, code, sentence, retryable=retryable)
