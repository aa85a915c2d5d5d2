"""`Extractor`: the text of a document file, read here where it is text already, else by a warm process with limits."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError
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
from indexmill.settings import ReaderSettings

__all__ = ["Extractor"]

_log = logging.getLogger(__name__)
#: A process is replaced before what libraries leak adds up.
_MAX_DOCUMENTS: Final = 1000
_MAX_RESIDENT_BYTES: Final = 512 * 1024 * 1024


class Extractor:
    """One a worker process; not for several threads at once. Its process starts with the first file that needs it."""

    def __init__(self, settings: ReaderSettings, max_text_bytes: int) -> None:
        self._settings = settings
        self._limits = Limits(settings.memory_bytes, settings.max_expansion_bytes, max_text_bytes)
        self._process: ExtractionProcess | None = None

    def extract(self, path: Path, file_type: FileType, *, check: Callable[[], None]) -> ExtractedText:
        """The text of the file, of the type that `detect` gave.

        Raises:
            ItemError: the document has no text that can be had, or needs more than the limits allow.
            OSError: the file cannot be read.
            What `check` raises: it is called several times a second, to stop waiting.
        """
        if file_type.is_read_as_text:
            return read_text(path, file_type, self._limits.max_text_bytes, check)
        if importlib.util.find_spec("kreuzberg") is None:
            raise ItemError(
                Stage.EXTRACT,
                FailureCode.UNSUPPORTED_TYPE,
                f"Reading a {file_type.label} needs the extra `readers`, which is not installed on this worker: "
                "pip install 'indexmill[readers]'",
                retryable=True,
            )
        # Opened here, so that a missing file is this process's error and no document's.
        path.open("rb").close()
        answer = self._ask(path, file_type, time.monotonic() + self._settings.timeout_seconds, check)
        return self._understood(answer, file_type)

    def close(self) -> None:
        """End the extraction process; the next document starts another."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _ask(self, path: Path, file_type: FileType, deadline: float, check: Callable[[], None]) -> Answer:
        request = {"path": str(path), "type": file_type.value}
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
                raise self._timeout(file_type) from error
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
            self._process.wait_until_ready(deadline, check)
        return self._process

    def _understood(self, answer: Answer, file_type: FileType) -> ExtractedText:
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
        return ExtractedText(
            answer.text.decode(),
            str(header["media_type"]),
            tuple(Page(*each) for each in header["pages"]),
            tuple(Heading(*each) for each in header["headings"]),
        )

    def _memory(self, file_type: FileType) -> ItemError:
        return _refusal(
            FailureCode.EXTRACTION_LIMIT,
            f"Reading the {file_type.label} takes more than the allowed {self._limits.memory_bytes:,} bytes of memory; "
            "split it or raise `readers.memory_bytes`",
        )

    def _timeout(self, file_type: FileType) -> ItemError:
        return _refusal(
            FailureCode.EXTRACTION_TIMEOUT,
            f"Reading the {file_type.label} takes longer than the allowed {self._settings.timeout_seconds:g} seconds; "
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
