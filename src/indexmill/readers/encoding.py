"""The encoding of a text, from its beginning: byte order mark, UTF-8, UTF-16 without a mark, or a guess."""

from __future__ import annotations

import codecs
from typing import Final

__all__ = ["encoding_of"]

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Control characters of texts: tab, line feed, form feed, carriage return, backspace, escape, end of a DOS file.
_TEXT_CONTROLS: Final = frozenset(b"\t\n\f\r\b\x1b\x1a\v")
_BINARY_BYTES: Final = bytes(each for each in range(32) if each not in _TEXT_CONTROLS) + b"\x7f"
#: A damaged text has a few control characters; random bytes have one in nine, and are no valid UTF-8.
_MAX_BINARY_SHARE: Final = 0.02
_MAX_BINARY_SHARE_OF_UTF8: Final = 0.1
#: European texts have fewer accented letters than this, texts in other scripts have more.
_MAX_WESTERN_SHARE: Final = 0.3
_WESTERN: Final = "cp1252"
_OTHER_SCRIPTS: Final = (
    "cp1251",
    "cp1253",
    "koi8_r",
    "shift_jis",
    "euc_jp",
    "gb18030",
    "big5",
    "euc_kr",
    "cp1255",
    "cp1256",
)
_GUESS_BYTES: Final = 16_384


def encoding_of(head: bytes) -> str | None:
    """The name of a codec that decodes the text, or None: this is no text."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name if _decodes(head, name) else None
    if not head:
        return "utf-8"
    wide = _utf16_without_mark(head)
    if wide is not None:
        return wide
    binary = len(head) - len(head.translate(None, _BINARY_BYTES))
    if _decodes(head, "utf-8"):
        return "utf-8" if binary <= max(1, len(head) * _MAX_BINARY_SHARE_OF_UTF8) else None
    if binary > len(head) * _MAX_BINARY_SHARE:
        return None
    # Older encodings know no NUL, and what looks like one of them is binary more often than not.
    return None if b"\0" in head else _guess(head)


def _decodes(head: bytes, name: str) -> bool:
    """Whether it decodes; its last character may be cut off."""
    try:
        codecs.getincrementaldecoder(name)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _utf16_without_mark(head: bytes) -> str | None:
    """Every other byte of a European text in UTF-16 is zero."""
    even, odd = head[0:4096:2], head[1:4096:2]
    if len(odd) < 2:
        return None
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros.count(0) > 0.4 * len(zeros) and others.count(0) < 0.02 * len(others) and _decodes(head, name):
            return name
    return None


def _guess(head: bytes) -> str | None:
    sample = head[:_GUESS_BYTES]
    high = sum(byte >= 0x80 for byte in sample)
    letters = sum(chr(byte).isalpha() for byte in sample if byte < 0x80)
    if high > _MAX_WESTERN_SHARE * (high + letters):
        try:
            import charset_normalizer
        except ImportError:
            return _WESTERN
        found = charset_normalizer.from_bytes(sample, cp_isolation=list(_OTHER_SCRIPTS)).best()
        if found is not None:
            return str(found.encoding)
    # C1 control characters: what has many of them is not text of Western Europe either.
    undefined = len(sample) - len(sample.translate(None, b"\x81\x8d\x8f\x90\x9d"))
    return _WESTERN if undefined <= len(sample) * _MAX_BINARY_SHARE and high < 0.8 * len(sample) else None
