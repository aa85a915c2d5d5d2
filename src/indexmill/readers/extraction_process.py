"""The worker's end of one extraction process: starts it, asks it, waits no longer than allowed, kills it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from indexmill.readers.framing import LENGTHS, MAX_HEADER_BYTES, pack, unpack_header, unpack_lengths

__all__ = ["Answer", "ExtractionProcess", "Limits", "ProcessDied", "ProcessTooSlow", "ProcessTooTalkative"]

_MODULE: Final = "indexmill.readers.extraction_child"
#: How often a wait looks whether it is still wanted.
_POLL_SECONDS: Final = 0.1
_READ_BYTES: Final = 1_048_576
_KEPT_WORDS: Final = 4096
#: What the child gets of our environment: no setting of the service, no password.
_ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")


@dataclass(frozen=True)
class Limits:
    """What one extraction may use."""

    memory_bytes: int
    max_expansion_bytes: int
    max_text_bytes: int


@dataclass(frozen=True)
class Answer:
    header: dict[str, Any]
    text: bytes


class ProcessDied(Exception):
    """The process ended without an answer that makes sense. `last_words`: what it wrote to standard error."""

    def __init__(self, status: int | None, last_words: str) -> None:
        super().__init__(f"the extraction process ended with status {status}")
        self.last_words = last_words

    @property
    def ran_out_of_memory(self) -> bool:
        # Rust's, C++'s and Python's words for it.
        return any(sign in self.last_words for sign in ("memory allocation of", "bad_alloc", "MemoryError"))


class ProcessTooSlow(Exception):
    """The process gave no answer in time."""


class ProcessTooTalkative(Exception):
    """The process announced more than an answer may have."""


class ExtractionProcess:
    """A running process; after any exception it is to be closed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        handed = {
            "parent": os.getpid(),
            "memory_bytes": limits.memory_bytes,
            "max_expansion_bytes": limits.max_expansion_bytes,
            "max_text_bytes": limits.max_text_bytes,
        }
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        # A session of its own: Ctrl-C reaches the service alone. A subprocess, not a fork: the caller may have threads.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, json.dumps(handed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
            bufsize=0,
        )
        requests, answers, words = self._process.stdin, self._process.stdout, self._process.stderr
        if requests is None or answers is None or words is None:
            raise AssertionError("three pipes were asked for")
        self._requests = requests
        self._answers = answers.fileno()
        self._words = words.fileno()
        for descriptor in (self._answers, self._words):
            os.set_blocking(descriptor, False)
        self._last_words = b""
        self._received = bytearray()
        self.documents = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self, deadline: float, check: Callable[[], None]) -> None:
        """Raises as `ask`."""
        self._read_answer(deadline, check)

    def ask(self, request: dict[str, Any], deadline: float, check: Callable[[], None]) -> Answer:
        """The answer to one request. `deadline`: of `time.monotonic`.

        Raises:
            ProcessDied, ProcessTooSlow, ProcessTooTalkative
            What `check` raises; it is called several times a second.
        """
        self.documents += 1
        try:
            # Far smaller than a pipe's buffer, so it never blocks.
            self._requests.write(pack(request))
        except BrokenPipeError as error:
            raise self._died() from error
        return self._read_answer(deadline, check)

    def close(self) -> None:
        """Kill it, whatever it does; called again: nothing."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read_answer(self, deadline: float, check: Callable[[], None]) -> Answer:
        header_size, text_size = unpack_lengths(self._read(LENGTHS.size, deadline, check))
        if header_size > MAX_HEADER_BYTES or text_size > self._limits.max_text_bytes:
            raise ProcessTooTalkative
        data = self._read(header_size, deadline, check)
        try:
            header = unpack_header(data)
        except (TypeError, ValueError, RecursionError) as error:
            # A document has taken it over, or overwritten its memory.
            raise self._died() from error
        return Answer(header, self._read(text_size, deadline, check))

    def _read(self, size: int, deadline: float, check: Callable[[], None]) -> bytes:
        while len(self._received) < size:
            check()
            if time.monotonic() >= deadline:
                raise ProcessTooSlow
            readable, _, _ = select.select([self._answers, self._words], [], [], _POLL_SECONDS)
            if self._words in readable:
                self._listen()
            if self._answers in readable:
                piece = os.read(self._answers, _READ_BYTES)
                if not piece:
                    raise self._died()
                self._received += piece
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._last_words = (self._last_words + os.read(self._words, _READ_BYTES))[-_KEPT_WORDS:]

    def _died(self) -> ProcessDied:
        try:
            status: int | None = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            status = None
        self._listen()
        return ProcessDied(status, self._last_words.decode("utf-8", "replace"))
