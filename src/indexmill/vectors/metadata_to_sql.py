"""Conditions over what is known of documents, as SQL over their payloads: exact, with no attribute declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import sql
from psycopg.types.json import Jsonb

from indexmill.domain.document import canonical_json
from indexmill.domain.metadata_filter import ITEM_INFO_FIELDS, Condition, MetadataFilter, Operator

__all__ = ["metadata_to_sql"]

_TRUE, _FALSE = sql.SQL("TRUE"), sql.SQL("FALSE")
_AND, _OR = sql.SQL(" AND "), sql.SQL(" OR ")
_SIGNS: Final = {
    Operator.GT: sql.SQL(">"),
    Operator.GTE: sql.SQL(">="),
    Operator.LT: sql.SQL("<"),
    Operator.LTE: sql.SQL("<="),
}


def metadata_to_sql(wanted: MetadataFilter) -> tuple[sql.Composable, dict[str, Any]]:
    """A condition over the document `d`, never NULL, and what it binds, under names that begin with `metadata_`."""
    writer = _Writer()
    parts = [*map(writer.condition, wanted.must)]
    parts += [sql.SQL("NOT {}").format(writer.condition(each)) for each in wanted.must_not]
    if wanted.should:
        parts.append(_joined(_OR, [*map(writer.condition, wanted.should)]))
    return (_joined(_AND, parts) if parts else _TRUE), writer.values


@dataclass
class _Writer:
    values: dict[str, Any] = field(default_factory=dict)

    def condition(self, condition: Condition) -> sql.Composable:
        """NULL is what is not there: it differs from everything, is in nothing and has no order."""
        stored, value = self._stored(condition.field), condition.value
        match condition.operator:
            case Operator.EQ:
                return sql.SQL("coalesce({} = {}, FALSE)").format(stored, self._json(value))
            case Operator.NE:
                return sql.SQL("({} IS DISTINCT FROM {})").format(stored, self._json(value))
            case Operator.IN:
                return sql.SQL("coalesce({} = ANY ({}), FALSE)").format(stored, self._list(value))
            case Operator.NOT_IN:
                return sql.SQL("coalesce({} <> ALL ({}), TRUE)").format(stored, self._list(value))
            case Operator.CONTAINS:
                return self._contains(stored, value)
        return self._ordered(stored, condition.operator, value)

    def _contains(self, stored: sql.Composable, value: Any) -> sql.Composable:
        in_text: sql.Composable = _FALSE
        if isinstance(value, str):
            in_text = sql.SQL("strpos({} #>> '{{}}', {}) > 0").format(stored, self._text(value))
        # A list contains what another list has; of both only the elements count.
        in_list = sql.SQL("{} @> {}").format(stored, self._json([value]))
        return sql.SQL("CASE jsonb_typeof({}) WHEN 'string' THEN {} WHEN 'array' THEN {} ELSE FALSE END").format(
            stored, in_text, in_list
        )

    def _ordered(self, stored: sql.Composable, operator: Operator, value: Any) -> sql.Composable:
        """Numbers among numbers, texts among texts by code point, whatever the database's order is."""
        if isinstance(value, str):
            kind = "string"
            compared = sql.SQL("({} #>> '{{}}') COLLATE \"C\" {} {}")
            wanted = self._text(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            kind = "number"
            compared = sql.SQL("{} {} {}")
            wanted = self._json(value)
        else:
            return _FALSE
        return sql.SQL("CASE WHEN jsonb_typeof({}) = {} THEN {} ELSE FALSE END").format(
            stored, sql.Literal(kind), compared.format(stored, _SIGNS[operator], wanted)
        )

    def _stored(self, name: str) -> sql.Composable:
        """As `document_metadata` has it."""
        payload = sql.SQL("d.payload -> {}").format(self._text(name))
        own = ITEM_INFO_FIELDS.get(name)
        if own is None:
            return sql.SQL("({})").format(payload)
        info = sql.SQL("nullif(d.item_info -> {}, 'null')").format(sql.Literal(own))
        return sql.SQL("coalesce({}, {})").format(info, payload)

    def _json(self, value: Any) -> sql.Composable:
        return self._bind(Jsonb(value, dumps=canonical_json), "jsonb")

    def _list(self, values: Sequence[Any]) -> sql.Composable:
        return self._bind([Jsonb(each, dumps=canonical_json) for each in values], "jsonb[]")

    def _text(self, value: str) -> sql.Composable:
        return self._bind(value, "text")

    def _bind(self, value: Any, kind: str) -> sql.Composable:
        name = f"metadata_{len(self.values)}"
        self.values[name] = value
        return sql.SQL("{}::{}").format(sql.Placeholder(name), sql.SQL(kind))


def _joined(word: sql.SQL, parts: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("({})").format(word.join(parts))
