"""The temporary file that holds what is long in a request until the request is understood; it has no name."""

from __future__ import annotations

import binascii
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from indexmill.sources.source import own_disk, private_folder

__all__ = ["HoldingFile", "decode_base64"]

_PIECE: Final = 1 << 19
_BLANKS: Final = b" \t\r\n\v\f"


class HoldingFile:
    """Made when something is written to it. Without a name it ends with this process at the latest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._guard = threading.Lock()
        self._is_closed = False
        self.size = 0

    def append(self, data: bytes) -> None:
        """
        Raises:
            TransientError: the disk is full.
        """
        with self._guard, own_disk():
            self._open().write(data)
            self.size += len(data)

    def pieces(self, begin: int, size: int) -> Iterator[bytes]:
        """The bytes from `begin` on, a piece at a time.

        Raises:
            TransientError: they cannot be read.
        """
        end = begin + size
        while begin < end:
            with self._guard, own_disk():
                file = self._open()
                file.seek(begin)
                data = file.read(min(_PIECE, end - begin))
            if not data:
                raise ValueError("expected bytes that were written, got none")
            begin += len(data)
            yield data

    def close(self) -> None:
        """Nothing is left of it. Waits for who is reading or writing it in another thread, who then gets an error."""
        with self._guard:
            self._is_closed = True
            if self._file is not None:
                self._file.close()

    def _open(self) -> BinaryIO:
        if self._is_closed:
            raise RuntimeError("the request of this file has ended")
        if self._file is None:
            private_folder(self._folder)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - `close` ends it
        return self._file


def decode_base64(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes that a base64 text stands for: the standard alphabet, padded, white space anywhere.

    Raises:
        ValueError: it is nothing of the kind.
    """
    carried = b""
    is_padded = False
    for piece in pieces:
        text = carried + piece.translate(None, _BLANKS)
        whole = len(text) - len(text) % 4
        carried = text[whole:]
        if whole and is_padded:
            raise ValueError("it goes on after its padding")
        is_padded = is_padded or text.endswith(b"=", 0, whole)
        yield binascii.a2b_base64(text[:whole], strict_mode=True)
    if carried:
        raise ValueError("its length without white space is no multiple of four: the end is missing")
