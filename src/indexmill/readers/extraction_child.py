"""The extraction process: `python -m indexmill.readers.extraction_child`. It reads one document after the other.

What documents can do to a process, they do to this one: its memory is limited, and it dies with its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError
from indexmill.readers.archive import check_archive
from indexmill.readers.extracted_text import ExtractedText
from indexmill.readers.file_type import FileType
from indexmill.readers.framing import LENGTHS, pack, unpack_header, unpack_lengths

if TYPE_CHECKING:
    from indexmill.readers.kreuzberg_reader import KreuzbergReader

__all__ = ["main"]

_PR_SET_PDEATHSIG: Final = 1
_OPEN_FILES: Final = 64
#: Mapped libraries and thread stacks, which are address space but hardly memory.
_ADDRESS_SPACE_MARGIN: Final = 1_073_741_824
_ARCHIVES: Final = frozenset({FileType.DOCX, FileType.XLSX, FileType.PPTX, FileType.EPUB, FileType.ODT})


def main() -> None:
    """Serve requests from standard input until it ends. Arguments: the limits as JSON."""
    limits = json.loads(sys.argv[1])
    _follow_parent(limits["parent"])
    requests, answers = _own_streams()
    _limit(limits["memory_bytes"])
    # Imported below the limits, and warm before the first request.
    from indexmill.readers.kreuzberg_reader import KreuzbergReader

    reader = KreuzbergReader(limits["max_text_bytes"])
    answers.write(pack({"ready": True}))
    while lengths := requests.read(LENGTHS.size):
        request = unpack_header(requests.read(unpack_lengths(lengths)[0]))
        try:
            answer = _page(request, limits) if "page" in request else _answer(_extract(reader, request, limits))
        except ItemError as error:
            answer = pack(_failure(error.code, error.sentence))
        except MemoryError:
            answer = pack({"out_of_memory": True})
        except Exception as error:  # noqa: BLE001 - whatever a library raises, it was this document's doing
            answer = pack({"raised": type(error).__name__})
        answers.write(answer)


def _extract(reader: KreuzbergReader, request: dict[str, Any], limits: dict[str, Any]) -> ExtractedText:
    path, file_type = Path(request["path"]), FileType(request["type"])
    if file_type in _ARCHIVES:
        check_archive(path, file_type.label, limits["max_expansion_bytes"])
    return reader.extract(path, file_type)


def _answer(found: ExtractedText) -> bytes:
    header = {
        "media_type": found.media_type,
        "pages": found.pages,
        "headings": found.headings,
        "resident_bytes": _resident_bytes(),
    }
    return pack(header, found.text.encode("utf-8", "replace"))


def _page(request: dict[str, Any], limits: dict[str, Any]) -> bytes:
    # Only workers that crawl pay for it.
    from indexmill.readers.web_page_reader import read_web_page

    asked = request["page"]
    page = Path(request["path"]).read_bytes()
    found = read_web_page(page, asked["charset"], asked["exclude"], limits["max_text_bytes"])
    return pack(found.header() | {"resident_bytes": _resident_bytes()}, found.text.encode("utf-8", "replace"))


def _failure(code: FailureCode, sentence: str) -> dict[str, Any]:
    return {"stage": Stage.EXTRACT, "code": code, "sentence": sentence, "resident_bytes": _resident_bytes()}


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * resource.getpagesize()


def _follow_parent(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before we asked to be told.
        raise SystemExit(0)


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Requests and answers on descriptors of their own: what a library prints must not get between the messages."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb", buffering=0)


def _limit(memory_bytes: int) -> None:
    # Ctrl-C at a terminal is for the service, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for which, amount in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_AS, memory_bytes + _ADDRESS_SPACE_MARGIN),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        _, hard = resource.getrlimit(which)
        allowed = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(which, (allowed, allowed))


if __name__ == "__main__":
    main()
