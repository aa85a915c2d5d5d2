"""The parser of metadata filters: the conditions of an SQL WHERE clause over `doc.<field>` and `part.<field>`.

    filter     = both {OR both}
    both       = negation {AND negation}
    negation   = NOT negation | predicate
    predicate  = operand [comparison operand | IS [NOT] NULL | [NOT] LIKE operand | [NOT] IN candidates]
    candidates = "(" operand {"," operand} ")" | operand
    operand    = field | text | [sign] number | TRUE | FALSE | NULL | "(" filter ")"
    field      = (doc | part) "." name {"." name}

Words are known in any case, names are not. A name with other characters than letters, digits and `_` stands in double
quotes, a text in single ones; each of them is doubled inside.
"""

from __future__ import annotations

from indexmill.domain.filter_attributes import MAX_NAME_LENGTH, AttributeLevel
from indexmill.domain.filter_tokens import Token, TokenKind, filter_error, tokens_of
from indexmill.domain.filter_tree import (
    And,
    Comparison,
    Condition,
    Field,
    IsNull,
    Like,
    Literal,
    Membership,
    Not,
    Operand,
    Operator,
    Or,
    Truth,
)
from indexmill.errors import InvalidRequest

__all__ = ["MAX_CONDITIONS", "MAX_DEPTH", "parse_filter"]

MAX_DEPTH = 50
MAX_CONDITIONS = 500
_OPERATORS = {each.value: each for each in Operator} | {"==": Operator.EQUAL, "!=": Operator.NOT_EQUAL}
_LEVELS = {level.prefix: level for level in AttributeLevel}
_CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}


def parse_filter(text: str) -> Condition:
    """What the filter says. Whether its fields are there and of the right types: `filter_types.typed_filter`.

    Raises:
        InvalidRequest: it cannot be read, with the place and what was expected there; or it is too large.
    """
    parser = _Parser(tokens_of(text))
    return parser.whole()


class _Parser:
    """Recursive descent: one method a rule."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0
        self._conditions = 0

    def whole(self) -> Condition:
        parsed = self._condition(self._either())
        if self._next.kind is not TokenKind.END:
            raise self._error(_AFTER_CONDITION)
        return parsed

    def _either(self) -> Condition | Operand:
        parts = [self._both()]
        while self._take_keyword("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(map(self._condition, parts)))

    def _both(self) -> Condition | Operand:
        parts = [self._negation()]
        while self._take_keyword("AND"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else And(tuple(map(self._condition, parts)))

    def _negation(self) -> Condition | Operand:
        if not self._take_keyword("NOT"):
            return self._predicate()
        self._enter()
        negated = Not(self._condition(self._negation()))
        self._depth -= 1
        return negated

    def _predicate(self) -> Condition | Operand:
        start = self._next
        parsed = self._operand()
        token = self._next
        if token.kind is TokenKind.SYMBOL and token.text in _OPERATORS:
            left = self._as_operand(parsed, start)
            self._place += 1
            return self._counted(Comparison(left, _OPERATORS[token.text], self._next_operand()))
        if token.keyword == "IS":
            self._place += 1
            return self._is_null(self._as_operand(parsed, start))
        if token.keyword in {"NOT", "IN", "LIKE"}:
            return self._in_or_like(self._as_operand(parsed, start))
        return parsed

    def _is_null(self, operand: Operand) -> Condition:
        is_negated = self._take_keyword("NOT")
        if not self._take_keyword("NULL"):
            raise self._error("`NULL`" if is_negated else "`NULL` or `NOT NULL`")
        found = self._counted(IsNull(operand))
        return Not(found) if is_negated else found

    def _in_or_like(self, operand: Operand) -> Condition:
        is_negated = self._take_keyword("NOT")
        found: Condition
        if self._take_keyword("LIKE"):
            found = self._counted(Like(operand, self._next_operand()))
        elif self._take_keyword("IN"):
            found = self._counted(Membership(operand, self._candidates()))
        else:
            raise self._error("`IN` or `LIKE`")
        return Not(found) if is_negated else found

    def _candidates(self) -> tuple[Operand, ...]:
        if not self._take_symbol("("):
            return (self._next_operand(),)
        found = [self._next_operand()]
        while self._take_symbol(","):
            found.append(self._next_operand())
        if not self._take_symbol(")"):
            raise self._error("`,` or `)`")
        return tuple(found)

    def _next_operand(self) -> Operand:
        start = self._next
        return self._as_operand(self._operand(), start)

    def _operand(self) -> Condition | Operand:
        token = self._next
        if self._take_symbol("("):
            self._enter()
            inner = self._either()
            if not self._take_symbol(")"):
                raise self._error(f"`)` for the `(` at character {token.at + 1}, {_AFTER_CONDITION}")
            self._depth -= 1
            return inner
        if token.kind is TokenKind.TEXT:
            self._place += 1
            return Literal(token.text, token.at)
        if token.kind is TokenKind.SYMBOL and token.text in {"+", "-"}:
            self._place += 1
            return self._number(-1 if token.text == "-" else 1, token.at)
        if token.kind in {TokenKind.INTEGER, TokenKind.REAL}:
            return self._number(1, token.at)
        if token.keyword in _CONSTANTS:
            self._place += 1
            return Literal(_CONSTANTS[token.keyword], token.at)
        return self._field()

    def _number(self, sign: int, at: int) -> Literal:
        token = self._next
        if token.kind not in {TokenKind.INTEGER, TokenKind.REAL}:
            raise self._error("a number after the sign")
        self._place += 1
        value = int(token.text) if token.kind is TokenKind.INTEGER else float(token.text)
        return Literal(sign * value, at)

    def _field(self) -> Field:
        token = self._next
        level = _LEVELS.get(token.text.lower()) if token.kind is TokenKind.WORD else None
        if level is None:
            raise self._error("a field (`doc.name`, `part.name`) or a value")
        self._place += 1
        names: list[str] = []
        while self._take_symbol("."):
            # Here a keyword is a name too.
            if self._next.kind not in {TokenKind.WORD, TokenKind.NAME}:
                raise self._error("the name of a field")
            names.append(self._next.text)
            self._place += 1
        if not names:
            raise self._error(f"`.` and the name of a field after `{token.text}`")
        name = ".".join(names)
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise filter_error(token.at, f"a field of 1 to {MAX_NAME_LENGTH} characters", str(len(name)))
        return Field(level, name, token.at)

    def _condition(self, parsed: Condition | Operand) -> Condition:
        return self._counted(Truth(parsed)) if isinstance(parsed, Field | Literal) else parsed

    def _as_operand(self, parsed: Condition | Operand, start: Token) -> Operand:
        if not isinstance(parsed, Field | Literal):
            raise filter_error(start.at, "a field or a value beside an operator", "a condition")
        return parsed

    def _counted(self, condition: Condition) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise InvalidRequest(f"metadata filter: expected at most {MAX_CONDITIONS} conditions, got more")
        return condition

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidRequest(f"metadata filter: expected at most {MAX_DEPTH} levels of brackets and NOT, got more")

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take_keyword(self, word: str) -> bool:
        return self._take(self._next.keyword == word)

    def _take_symbol(self, symbol: str) -> bool:
        return self._take(self._next.kind is TokenKind.SYMBOL and self._next.text == symbol)

    def _take(self, is_it: bool) -> bool:
        self._place += is_it
        return is_it

    def _error(self, expected: str) -> InvalidRequest:
        token = self._next
        got = str(token)
        if token.kind is TokenKind.NAME:
            got += "; a text stands in single quotes"
        elif token.kind is TokenKind.SYMBOL and token.text in {"+", "-"}:
            got += ": filters do not calculate"
        return filter_error(token.at, expected, got)


_AFTER_CONDITION = "an operator, `AND`, `OR` or the end"
