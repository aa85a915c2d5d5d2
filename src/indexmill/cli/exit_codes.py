"""What the command's exit code says to a script; `--help` prints this table."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["MEANINGS", "ExitCode"]


class ExitCode(IntEnum):
    OK = 0
    JOB_NOT_SUCCEEDED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    CONFLICT = 5
    SERVICE_FAILED = 6
    TIMEOUT = 7
    NOT_ALLOWED = 8
    INTERRUPTED = 130


MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "it worked",
    ExitCode.JOB_NOT_SUCCEEDED: "`jobs watch`: the job ended, but did not succeed",
    ExitCode.USAGE: "the command, its options, the settings or the request are wrong",
    ExitCode.NOT_FOUND: "no such job, model, collection, key or tenant",
    ExitCode.UNREACHABLE: "no service answers at the address",
    ExitCode.CONFLICT: "the request contradicts what is stored",
    ExitCode.SERVICE_FAILED: "the service could not do it, or did not start",
    ExitCode.TIMEOUT: "`jobs watch --timeout`: the job goes on",
    ExitCode.NOT_ALLOWED: "the service wants an API key, or another one",
    ExitCode.INTERRUPTED: "interrupted from the keyboard",
}
