"""Metadata filters: what is read, where and why something is not, what fits the declared attributes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.attribute_filter import MAX_CONDITIONS, MAX_DEPTH, parse_filter
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.filter_tokens import KEYWORDS, MAX_FILTER_BYTES
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
from indexmill.domain.filter_types import typed_filter
from indexmill.errors import InvalidRequest

DOC, PART = AttributeLevel.DOCUMENT, AttributeLevel.PART
A, B = Field(DOC, "a"), Field(PART, "b")
ONE, TEXT = Literal(1), Literal("x")
EQUAL = Operator.EQUAL


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("doc.a = 1", Comparison(A, EQUAL, ONE)),
        ("doc.a==1", Comparison(A, EQUAL, ONE)),
        ("doc.a <> 1", Comparison(A, Operator.NOT_EQUAL, ONE)),
        ("doc.a != 1", Comparison(A, Operator.NOT_EQUAL, ONE)),
        ("1<doc.a", Comparison(ONE, Operator.LESS, A)),
        ("1<=doc.a", Comparison(ONE, Operator.LESS_OR_EQUAL, A)),
        ("doc.a>part.b", Comparison(A, Operator.GREATER, B)),
        ("\n doc.a\t>= 1 ", Comparison(A, Operator.GREATER_OR_EQUAL, ONE)),
        ("(((doc.a))) = (1)", Comparison(A, EQUAL, ONE)),
        ("doc.a = -1", Comparison(A, EQUAL, Literal(-1))),
        ("doc.a = + 1.5", Comparison(A, EQUAL, Literal(1.5))),
        ("doc.a = .5e-1", Comparison(A, EQUAL, Literal(0.05))),
        ("doc.a = 2e3", Comparison(A, EQUAL, Literal(2000.0))),
        ("doc.a = 'it''s'", Comparison(A, EQUAL, Literal("it's"))),
        ("doc.a = ''", Comparison(A, EQUAL, Literal(""))),
        ("doc.a = ''''", Comparison(A, EQUAL, Literal("'"))),
        ("doc.a = 'a -- \"b\" (AND)'", Comparison(A, EQUAL, Literal('a -- "b" (AND)'))),
        ("doc.a = True", Comparison(A, EQUAL, Literal(True))),
        ("doc.a = NULL", Comparison(A, EQUAL, Literal(None))),
        ("doc.a", Truth(A)),
        ("not doc.a and part.b", And((Not(Truth(A)), Truth(B)))),
        ("NOT doc.a = 1", Not(Comparison(A, EQUAL, ONE))),
        ("doc.a OR part.b AND doc.a", Or((Truth(A), And((Truth(B), Truth(A)))))),
        ("(doc.a OR part.b) AND doc.a", And((Or((Truth(A), Truth(B))), Truth(A)))),
        ("doc.a IS NULL", IsNull(A)),
        ("doc.a is not null", Not(IsNull(A))),
        ("doc.a LIKE 'x'", Like(A, TEXT)),
        ("doc.a NOT LIKE 'x'", Not(Like(A, TEXT))),
        ("doc.a IN (1)", Membership(A, (ONE,))),
        ("doc.a NOT IN (1, 'x', part.b)", Not(Membership(A, (ONE, TEXT, B)))),
        ("'x' in doc.a", Membership(TEXT, (A,))),
        ("'x' in (doc.a)", Membership(TEXT, (A,))),
        ('doc."a" = 1', Comparison(A, EQUAL, ONE)),
        ('doc."a ""b"" c.d" = 1', Comparison(Field(DOC, 'a "b" c.d'), EQUAL, ONE)),
        ("doc.a.b = 1", Comparison(Field(DOC, "a.b"), EQUAL, ONE)),
        ("doc.in = 1", Comparison(Field(DOC, "in"), EQUAL, ONE)),
        ("DOC.größe_2 = 1", Comparison(Field(DOC, "größe_2"), EQUAL, ONE)),
    ],
)
def test_what_a_filter_says(text: str, meaning: Condition) -> None:
    assert parse_filter(text) == meaning


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "character 1: expected a field (`doc.name`, `part.name`) or a value, got the end"),
        ("doc.a =", "character 8: expected a field (`doc.name`, `part.name`) or a value, got the end"),
        ("doc.a = 1 doc.b = 2", "character 11: expected an operator, `AND`, `OR` or the end, got `doc`"),
        ("doc.a = 1)", "character 10: expected an operator, `AND`, `OR` or the end, got `)`"),
        ("(doc.a = 1", "character 11: expected `)` for the `(` at character 1"),
        ("a = 1", "character 1: expected a field (`doc.name`, `part.name`) or a value, got `a`"),
        ("doc = 1", "character 5: expected `.` and the name of a field after `doc`, got `=`"),
        ("doc. = 1", "character 6: expected the name of a field, got `=`"),
        ('doc."" = 1', "character 1: expected a field of 1 to 64 characters, got 0"),
        (f"doc.{'a' * 65} = 1", "character 1: expected a field of 1 to 64 characters, got 65"),
        ('doc.a = "x"', 'got the name "x"; a text stands in single quotes'),
        ("doc.a = 'x", "character 9: expected a text with a closing quote"),
        ('doc."a = 1', "character 5: expected a name with a closing quote"),
        ("doc.a = 12ab", "character 9: expected a number, got `12ab`"),
        ("doc.a = 1.2.3", "character 12: expected an operator, `AND`, `OR` or the end, got `.3`"),
        ("doc.a = 1e999", "character 9: expected a number of at most 100 characters and 1.8e308"),
        (f"doc.a = {'1' * 101}", "expected a number of at most 100 characters"),
        ("doc.a = - 'x'", "character 11: expected a number after the sign, got the text 'x'"),
        ("doc.a = --1", "character 10: expected a number after the sign, got `-`"),
        ("doc.a * 2 = 1", "character 7: expected a field, a value or an operator, got `*`: filters do not calculate"),
        (
            "doc.a - 2 = 1",
            "character 7: expected an operator, `AND`, `OR` or the end, got `-`: filters do not calculate",
        ),
        ("1 < doc.a < 3", "character 11: expected an operator, `AND`, `OR` or the end, got `<`"),
        ("(doc.a = 1) = true", "character 1: expected a field or a value beside an operator, got a condition"),
        ("doc.a IS 1", "character 10: expected `NULL` or `NOT NULL`, got `1`"),
        ("doc.a IS NOT 1", "character 14: expected `NULL`, got `1`"),
        ("doc.a NOT 1", "character 11: expected `IN` or `LIKE`, got `1`"),
        ("doc.a IN ()", "character 11: expected a field (`doc.name`, `part.name`) or a value, got `)`"),
        ("doc.a IN (1", "character 12: expected `,` or `)`, got the end"),
        ("doc.a IN (1,)", "got `)`"),
        ("doc.a = 1; DROP TABLE x", "character 10: expected a field, a value or an operator, got `;`"),
        ("doc.a = 'x\0'", "character 11: expected characters of text, got NUL"),
        ("doc.a = '\ud800'", "character 10: expected characters of text, got half a character"),
        ("doc.a = 1 AND", "character 14: expected a field"),
        ("AND doc.a", "character 1: expected a field"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_filter(text)
    assert complaint in str(refused.value)
    assert str(refused.value).startswith("metadata filter")


def test_a_filter_has_limits() -> None:
    parse_filter("(" * MAX_DEPTH + "doc.a" + ")" * MAX_DEPTH)
    parse_filter("NOT " * MAX_DEPTH + "doc.a")
    parse_filter(" OR ".join(["doc.a=1"] * MAX_CONDITIONS))
    parse_filter("doc.a" + " " * (MAX_FILTER_BYTES - 5))
    for text, complaint in (
        ("(" * (MAX_DEPTH + 1) + "doc.a" + ")" * (MAX_DEPTH + 1), "at most 50 levels"),
        ("NOT " * (MAX_DEPTH + 1) + "doc.a", "at most 50 levels"),
        ("(NOT " * 26 + "doc.a" + ")" * 26, "at most 50 levels"),
        (" OR ".join(["doc.a=1"] * (MAX_CONDITIONS + 1)), "at most 500 conditions"),
        (" OR ".join(["doc.a"] * (MAX_CONDITIONS + 1)), "at most 500 conditions"),
        ("doc.a" + " " * (MAX_FILTER_BYTES - 4), "at most 16384 bytes, got 16385"),
        ("ä" * 8193, "at most 16384 bytes, got 16386"),
    ):
        with pytest.raises(InvalidRequest, match=complaint):
            parse_filter(text)


# Any tree, written out and read again


names = st.text(min_size=1, max_size=8).filter(lambda name: "\0" not in name) | st.sampled_from(sorted(KEYWORDS))
fields = st.builds(Field, st.sampled_from(AttributeLevel), names)
literals = st.builds(
    Literal,
    st.none()
    | st.booleans()
    | st.text(max_size=6).filter(lambda text: "\0" not in text)
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False),
)
operands = fields | literals
leaves: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Comparison, operands, st.sampled_from(Operator), operands),
    st.builds(Membership, operands, st.lists(operands, min_size=1, max_size=3).map(tuple)),
    st.builds(Like, operands, operands),
    st.builds(IsNull, operands),
    st.builds(Truth, operands),
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def written(condition: Condition) -> str:
    match condition:
        case And(parts):
            return " AND ".join(f"({written(each)})" for each in parts)
        case Or(parts):
            return " OR ".join(f"({written(each)})" for each in parts)
        case Not(inner):
            return f"NOT ({written(inner)})"
        case Comparison(left, operator, right):
            return f"{operand_text(left)}{operator.value}{operand_text(right)}"
        case Membership(operand, candidates):
            return f"{operand_text(operand)} IN ({', '.join(map(operand_text, candidates))})"
        case Like(operand, pattern):
            return f"{operand_text(operand)} LIKE {operand_text(pattern)}"
        case IsNull(operand):
            return f"{operand_text(operand)} IS NULL"
        case Truth(operand):
            return operand_text(operand)


def operand_text(operand: Operand) -> str:
    if isinstance(operand, Field):
        name = operand.name.replace('"', '""')
        return f'{operand.level.prefix}."{name}"'
    if isinstance(operand.value, str):
        return "'" + operand.value.replace("'", "''") + "'"
    return "NULL" if operand.value is None else repr(operand.value)


@given(condition=conditions)
def test_any_filter_that_is_written_out_is_read_as_the_same(condition: Condition) -> None:
    assert parse_filter(written(condition)) == condition


@given(text=st.text(max_size=40) | st.text("docpart.'\"() =<>!,-+0123456789eNULINTKORSA%\\", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    complaint = ""
    try:
        typed_filter(parse_filter(text), ATTRIBUTES)
    except InvalidRequest as refused:
        complaint = str(refused)
    assert len(complaint) < 1500


# Types


ATTRIBUTES = (
    FilterAttribute("year", DOC, AttributeType.INTEGER),
    FilterAttribute("score", PART, AttributeType.REAL),
    FilterAttribute("title", DOC, AttributeType.TEXT),
    FilterAttribute("open", DOC, AttributeType.BOOLEAN),
    FilterAttribute("tags", DOC, AttributeType.TEXT_LIST),
    FilterAttribute("sizes", DOC, AttributeType.INTEGER_LIST),
)


@pytest.mark.parametrize(
    "text",
    [
        "doc.year = 2020 AND part.score > 1 AND doc.title = 'x' AND doc.open AND NOT doc.open = false",
        "doc.year < part.score AND doc.year IN (1, 2.5, NULL) AND doc.title LIKE 'a_%'",
        "'a' IN doc.tags AND 1.5 IN doc.sizes AND doc.title NOT IN doc.tags AND doc.tags IS NOT NULL",
        "doc.id = 'a' AND part.lang IN ('eng', 'deu')",
        "doc.year = NULL OR NULL IN (1, 'a') OR NULL OR 1 = 2 OR 'a' LIKE NULL",
        "doc.title LIKE 'a\\\\'",
    ],
)
def test_what_fits(text: str) -> None:
    typed_filter(parse_filter(text), ATTRIBUTES)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("doc.yaer = 1", "`doc.yaer` is not a filter attribute of this collection; did you mean `doc.year`? declared:"),
        ("part.year = 1", "`part.year` is not a filter attribute"),
        ("doc.lang = 'eng'", "`doc.lang` is not a filter attribute"),
        ("doc.Title = 'x'", "did you mean `doc.title`?"),
        (
            "doc.year = '1'",
            "character 12: expected a number beside `=`, as `doc.year` (integer) is one, got a text, `1`",
        ),
        ("'1' = doc.year", "character 1: expected a number beside `=`"),
        ("doc.title = 1", "character 13: expected a text beside `=`, as `doc.title` (text) is one, got a number, `1`"),
        ("doc.title > true", "expected a text beside `>`"),
        ("doc.open = 'true'", "expected a boolean beside `=`"),
        ("doc.open = 1", "expected a boolean beside `=`"),
        ("doc.year = doc.title", "expected a text beside `=`, as `doc.title` (text) is one, got `doc.year` (integer)"),
        ("doc.year IN (1, 'a')", "character 17: expected a number in the list"),
        ("1 IN doc.tags", "character 1: expected a text in the list, as `doc.tags` (text_list) is one, got a number"),
        ("doc.tags = 'a'", "expected a field with a single value, got the list `doc.tags`; write `'x' IN doc.tags`"),
        ("doc.tags LIKE 'a'", "expected a field with a single value"),
        ("doc.tags IN ('a')", "expected a field with a single value"),
        ("doc.title", "character 1: expected a boolean by itself, got `doc.title` (text)"),
        ("doc.id = 'a' OR 'b'", "character 17: expected a boolean by itself, got a text, `b`"),
        ("doc.year LIKE '1'", "character 1: expected a text before `LIKE`"),
        ("doc.title LIKE 1", "expected a text after `LIKE`"),
        ("doc.title LIKE doc.title", "expected a text after `LIKE`, got the field `doc.title`"),
        ("doc.title LIKE 'a\\'", "expected a character after each backslash"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        typed_filter(parse_filter(text), ATTRIBUTES)
    assert complaint in str(refused.value)


def test_of_documents_nothing_can_be_said_of_parts() -> None:
    typed_filter(parse_filter("doc.year = 1"), ATTRIBUTES, level=DOC)
    with pytest.raises(InvalidRequest, match="character 18: expected fields of documents only"):
        typed_filter(parse_filter("doc.year = 1 AND part.lang = 'eng'"), ATTRIBUTES, level=DOC)


def test_a_long_list_of_attributes_is_not_told_whole() -> None:
    many = [FilterAttribute(f"n{n}", DOC, AttributeType.TEXT) for n in range(60)]
    with pytest.raises(InvalidRequest, match=r"and 42 more$"):
        typed_filter(parse_filter("doc.x = 1"), many)
