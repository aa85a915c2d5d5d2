"""The words of a metadata filter: names, texts, numbers, operators; each with its place."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from indexmill.errors import InvalidRequest

__all__ = ["KEYWORDS", "MAX_FILTER_BYTES", "Token", "TokenKind", "filter_error", "tokens_of"]

MAX_FILTER_BYTES = 16 * 1024
KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "LIKE", "IS", "NULL", "TRUE", "FALSE"})
_MAX_DIGITS = 100
_MAX_SHOWN = 40


class TokenKind(StrEnum):
    WORD = "a word"
    #: In double quotes: always a name.
    NAME = "a name"
    TEXT = "a text"
    INTEGER = "a whole number"
    REAL = "a number"
    SYMBOL = "a symbol"
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """`text`: what it says, without quotes. `at`: its first character, counted from 0; `end`: what follows it."""

    kind: TokenKind
    text: str
    at: int
    end: int

    @property
    def keyword(self) -> str | None:
        word = self.text.upper()
        return word if self.kind is TokenKind.WORD and word in KEYWORDS else None

    def __str__(self) -> str:
        """As an error shows it."""
        shown = self.text if len(self.text) <= _MAX_SHOWN else f"{self.text[:_MAX_SHOWN]}..."
        match self.kind:
            case TokenKind.END:
                return "the end"
            case TokenKind.TEXT:
                return f"the text '{shown}'"
            case TokenKind.NAME:
                return f'the name "{shown}"'
            case _:
                return f"`{shown}`"


_TOKEN = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*+')
  | (?P<name>"(?:[^"]|"")*+")
  | (?P<real>(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)(?!\w)
  | (?P<integer>\d+)(?!\w)
  | (?P<symbol><=|>=|<>|!=|==|[=<>(),.+\-])
    """,
    re.VERBOSE | re.ASCII,
)
# `re.ASCII` keeps digits to 0-9; names may have letters of any script.
_WORD = re.compile(r"[^\W\d]\w*")
_SPACE = re.compile(r"\s*")
_KINDS = {
    "text": TokenKind.TEXT,
    "name": TokenKind.NAME,
    "real": TokenKind.REAL,
    "integer": TokenKind.INTEGER,
    "symbol": TokenKind.SYMBOL,
}


def filter_error(at: int, expected: str, got: str) -> InvalidRequest:
    return InvalidRequest(f"metadata filter, character {at + 1}: expected {expected}, got {got}")


def tokens_of(text: str) -> list[Token]:
    """All tokens, the last one of kind END.

    Raises:
        InvalidRequest: too long, or something that no filter has, with its place.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_FILTER_BYTES:
        raise InvalidRequest(f"metadata filter: expected at most {MAX_FILTER_BYTES} bytes, got {size}")
    for at, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise filter_error(at, "characters of text", "half a character" if character != "\0" else "NUL")
    tokens: list[Token] = []
    at = _past_space(text, 0)
    while at < len(text):
        token = _token_at(text, at)
        tokens.append(token)
        at = _past_space(text, token.end)
    return [*tokens, Token(TokenKind.END, "", len(text), len(text))]


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _token_at(text: str, at: int) -> Token:
    if word := _WORD.match(text, at):
        return Token(TokenKind.WORD, word[0], at, word.end())
    found = _TOKEN.match(text, at)
    if found is None or found.lastgroup is None:
        raise _unreadable(text, at)
    kind, token = _KINDS[found.lastgroup], found[0]
    match kind:
        case TokenKind.TEXT:
            token = token[1:-1].replace("''", "'")
        case TokenKind.NAME:
            token = token[1:-1].replace('""', '"')
        case TokenKind.INTEGER | TokenKind.REAL:
            if len(token) > _MAX_DIGITS or math.isinf(float(token)):
                raise filter_error(
                    at, f"a number of at most {_MAX_DIGITS} characters and 1.8e308", f"`{token[:20]}...`"
                )
    return Token(kind, token, at, found.end())


def _unreadable(text: str, at: int) -> InvalidRequest:
    character = text[at]
    if character == "'":
        return filter_error(at, "a text with a closing quote (a quote inside it is written '')", "an open one")
    if character == '"':
        return filter_error(at, "a name with a closing quote", "an open one")
    if character.isdigit():
        return filter_error(at, "a number", f"`{text[at : at + 20]}`")
    if character in "*/%":
        return filter_error(at, "a field, a value or an operator", f"`{character}`: filters do not calculate")
    return filter_error(at, "a field, a value or an operator", f"`{character}`")
