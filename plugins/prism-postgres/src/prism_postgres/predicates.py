"""Filters as SQL conditions: true for exactly the records that the reference evaluator takes, or for more where told.

A condition may be null where it means false. So a negation is `IS NOT TRUE`, never NOT, and a filter and its negation
partition. Values are parameters. Where a field is indexed, the condition is one that its index answers; see
`expressions` for why long texts take another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from prism.filters.ast import And, Box, Compare, MetadataField, Near, Node, Not, Op, Or, Order, RecordField, Support
from prism.filters.geo import bounding_box

from prism_postgres import documents, expressions
from prism_postgres.indexes import Indexed, Keys
from prism_postgres.patterns import Literal, literal
from prism_postgres.prefixes import successor
from prism_postgres.statement import Parameters
from prism_postgres.versions import version_text

_SIGNS: Final = {Op.LT: "<", Op.LTE: "<=", Op.GT: ">", Op.GTE: ">="}
_COLUMNS: Final = {
    RecordField.IDENTITY: "r.identity",
    RecordField.REGISTERED_AT: "r.registered_at",
    RecordField.UPDATED_AT: "r.updated_at",
    RecordField.EXPIRES_AT: "l.expires_at",
}
_MARGIN: Final = 1e-5
"""Degrees by which the boxes that an index is asked for are wider: it compares with a tolerance of its own."""
_INT64: Final = 2**63


def support(node: Node) -> Support:
    """What `condition` makes of a filter."""
    match node:
        case Compare():
            return _support(node)
        case Not():
            return Support.EXACT if support(node.child) is Support.EXACT else Support.UNSUPPORTED
        case And():
            answers = {support(child) for child in node.children}
            if answers <= {Support.EXACT}:
                return Support.EXACT
            return Support.UNSUPPORTED if answers == {Support.UNSUPPORTED} else Support.INEXACT
        case Or():
            answers = {support(child) for child in node.children}
            if Support.UNSUPPORTED in answers:
                return Support.UNSUPPORTED
            return Support.INEXACT if Support.INEXACT in answers else Support.EXACT


def condition(node: Node, parameters: Parameters, indexed: Indexed) -> str:
    """The SQL of a filter that is supported."""
    match node:
        case Compare():
            return _compare(node, parameters, indexed)
        case Not():
            return f"(({condition(node.child, parameters, indexed)}) IS NOT TRUE)"
        case And():
            kept = [child for child in node.children if support(child) is not Support.UNSUPPORTED]
            return _joined([condition(child, parameters, indexed) for child in kept], "AND", "TRUE")
        case Or():
            return _joined([condition(child, parameters, indexed) for child in node.children], "OR", "FALSE")


def _joined(parts: list[str], word: str, nothing: str) -> str:
    return f"({f' {word} '.join(parts)})" if parts else nothing


def _support(clause: Compare) -> Support:
    operand = clause.value
    if isinstance(clause.field, RecordField):
        if isinstance(operand, str) and "\0" in operand:
            return Support.UNSUPPORTED  # no column can be compared with it
        if isinstance(operand, tuple) and any(isinstance(item, str) and "\0" in item for item in operand):
            return Support.UNSUPPORTED
    if clause.op is Op.NEAR:
        return Support.INEXACT  # the distance is checked by one and the same arithmetic everywhere: ours
    if clause.op is Op.REGEX:
        found = literal(str(operand))
        if found is None or documents.is_ambiguous_inside(found.text):
            return Support.UNSUPPORTED
        return Support.EXACT if found.whole else Support.INEXACT
    if clause.op in (Op.CONTAINS, Op.ENDSWITH) and isinstance(operand, str) and documents.is_ambiguous_inside(operand):
        return Support.UNSUPPORTED
    return Support.EXACT


def _compare(clause: Compare, parameters: Parameters, indexed: Indexed) -> str:
    if clause.op is Op.NE:
        same = Compare(clause.field, Op.EQ, clause.value, clause.order)
        return f"(({_compare(same, parameters, indexed)}) IS NOT TRUE)"
    if isinstance(clause.field, MetadataField):
        return _Metadata(clause.field.keys, parameters, indexed).condition(clause)
    if clause.field is RecordField.IDENTITY:
        return _of_identity(clause, parameters)
    return _of_moment(_COLUMNS[clause.field], clause, parameters)


class _Metadata:
    """Conditions on one field of the metadata."""

    def __init__(self, keys: Keys, parameters: Parameters, indexed: Indexed) -> None:
        self._keys = keys
        self._parameters = parameters
        self._indexed = indexed

    @property
    def _value(self) -> str:
        # Bound when it's needed: the server must be told the type of every parameter by a use of it.
        return expressions.value([self._parameters.bind_key(documents.text(key)) for key in self._keys])

    def condition(self, clause: Compare) -> str:
        return _BY_OPERATOR[clause.op](self, clause)

    def equal(self, clause: Compare) -> str:
        operand = clause.value
        if isinstance(operand, bool):
            if self._keys in self._indexed.booleans:
                return f"{expressions.boolean(self._value)} = {self._bind(operand, 'boolean')}"
        elif isinstance(operand, str):
            short = self._short_text(operand)
            if short is not None:
                return f"{short} = {self._text(operand)}"
        elif isinstance(operand, (int, float)) and self._keys in self._indexed.numbers:
            return f"{expressions.number(self._value)} = {self._number(operand)}"
        exact = f"{self._value} = {self._jsonb(operand)}"
        return " AND ".join(["(" + exact, *self._containing(operand)]) + ")"

    def order(self, clause: Compare) -> str:
        sign, operand = _SIGNS[clause.op], clause.value
        if isinstance(operand, str):
            if clause.order is Order.VERSION:
                key = version_text(operand)
                if key is None:
                    return "FALSE"
                if self._keys in self._indexed.versions and len(key) < expressions.KEY_LENGTH:
                    return f"{expressions.short_version_key(self._value)} {sign} {self._bind(key, 'text')}"
                return f'{expressions.version_key(self._value)} COLLATE "C" {sign} {self._bind(key, "text")}'
            text = self._short_text(operand) or expressions.text(self._value)
            return f"{text} {sign} {self._text(operand)}"
        if clause.order is Order.VERSION or isinstance(operand, bool) or not isinstance(operand, (int, float)):
            return "FALSE"
        return f"{expressions.number(self._value)} {sign} {self._number(operand)}"

    def starts_with(self, clause: Compare) -> str:
        return self._starts_with(str(clause.value))

    def ends_with(self, clause: Compare) -> str:
        suffix = documents.text(str(clause.value))
        text = expressions.text(self._value)
        return f"right({text}, {self._bind(len(suffix), 'integer')}) = {self._bind(suffix, 'text')}"

    def contains(self, clause: Compare) -> str:
        operand = clause.value
        array = f"jsonb_typeof({self._value}) = 'array' AND {self._value} @> {self._jsonb([operand])}"
        if isinstance(operand, (list, dict)):
            elements = f"jsonb_array_elements(CASE jsonb_typeof({self._value}) WHEN 'array' THEN {self._value} END)"
            array += f" AND EXISTS (SELECT FROM {elements} AS e (item) WHERE e.item = {self._jsonb(operand)})"
        if not isinstance(operand, str):
            return f"({array})"
        return f"(({array}) OR ({self._has_text(operand)}))"

    def matches(self, clause: Compare) -> str:
        found = literal(str(clause.value))
        assert found is not None
        return self._starts_with(found.text) if found.anchored else f"({self._has_text(found.text)})"

    def among(self, clause: Compare) -> str:
        operands: Any = clause.value
        items = [item for item in operands if not isinstance(item, (list, tuple, dict))]
        if not items:
            return "FALSE"
        texts = [item for item in items if isinstance(item, str) and self._short_text(item) is not None]
        if len(texts) == len(items):
            values = self._bind([documents.text(item) for item in texts], "text[]")
            return f"{expressions.text_key(self._value)} = ANY({values})"
        if self._keys in self._indexed.numbers and all(_is_number(item) for item in items):
            values = self._bind([documents.number(item) for item in items], "numeric[]")
            return f"{expressions.number(self._value)} = ANY({values})"
        return f"{self._value} = ANY({self._bind([documents.jsonb(item) for item in items], 'jsonb[]')})"

    def exists(self, clause: Compare) -> str:
        sign = "<>" if clause.value else "="
        return f"coalesce(jsonb_typeof({self._value}), 'null') {sign} 'null'"

    def type(self, clause: Compare) -> str:
        return f"jsonb_typeof({self._value}) = {self._bind(clause.value, 'text')}"

    def near(self, clause: Compare) -> str:
        assert isinstance(clause.value, Near)
        return _joined([self._in_box(box) for box in bounding_box(clause.value)], "OR", "FALSE")

    def within(self, clause: Compare) -> str:
        box = clause.value
        assert isinstance(box, Box)
        if box.west <= box.east:
            return self._in_box(box)
        east = self._in_box(Box(box.south, box.west, box.north, 180.0))
        west = self._in_box(Box(box.south, -180.0, box.north, box.east))
        return f"({east} OR {west})"

    def _in_box(self, box: Box) -> str:
        place = expressions.place(self._value)
        south, north, west, east = (
            self._bind(float(edge), "float8") for edge in (box.south, box.north, box.west, box.east)
        )
        exact = f"({place})[1] BETWEEN {south} AND {north} AND ({place})[0] BETWEEN {west} AND {east}"
        wide = self._bind(((box.east + _MARGIN, box.north + _MARGIN), (box.west - _MARGIN, box.south - _MARGIN)), "box")
        return f"({place} <@ {wide} AND {exact})"

    def _starts_with(self, prefix: str) -> str:
        short = self._short_text(prefix)
        if short is None or not prefix:
            return f"starts_with({expressions.text(self._value)}, {self._text(prefix)})"
        end = successor(documents.text(prefix))
        if end is None:
            return f"{short} >= {self._text(prefix)}"
        return f"({short} >= {self._text(prefix)} AND {short} < {self._bind(end, 'text')})"

    def _has_text(self, operand: str) -> str:
        # The guard stands alone, so that the index of fields that hold texts where arrays were meant answers it.
        return (
            f"jsonb_typeof({self._value}) = 'string' AND "
            f"strpos({expressions.text(self._value)}, {self._text(operand)}) > 0"
        )

    def _containing(self, operand: Any) -> list[str]:
        """What an index can say of equality: more than is equal, never less."""
        if self._keys in self._indexed.elements:
            return [f"{self._value} @> {self._jsonb(operand)}"]
        if self._indexed.document:
            nested = operand
            for key in reversed(self._keys):
                nested = {key: nested}
            return [f"r.document @> {self._jsonb(nested)}"]
        return []

    def _short_text(self, operand: str) -> str | None:
        """The indexed beginning of the text, None where there is no index, or it is too short for this operand."""
        if self._keys not in self._indexed.texts or len(documents.text(operand)) >= expressions.KEY_LENGTH:
            return None
        return expressions.text_key(self._value)

    def _bind(self, value: Any, kind: str) -> str:
        return self._parameters.bind(value, kind)

    def _text(self, value: str) -> str:
        return self._bind(documents.text(value), "text")

    def _number(self, value: float) -> str:
        return self._bind(documents.number(value), "numeric")

    def _jsonb(self, value: Any) -> str:
        return self._bind(documents.jsonb(value), "jsonb")


_BY_OPERATOR: Final[dict[Op, Callable[[_Metadata, Compare], str]]] = {
    Op.EQ: _Metadata.equal,
    Op.LT: _Metadata.order,
    Op.LTE: _Metadata.order,
    Op.GT: _Metadata.order,
    Op.GTE: _Metadata.order,
    Op.STARTSWITH: _Metadata.starts_with,
    Op.ENDSWITH: _Metadata.ends_with,
    Op.CONTAINS: _Metadata.contains,
    Op.REGEX: _Metadata.matches,
    Op.IN: _Metadata.among,
    Op.EXISTS: _Metadata.exists,
    Op.TYPE: _Metadata.type,
    Op.NEAR: _Metadata.near,
    Op.WITHIN: _Metadata.within,
}


def _of_identity(clause: Compare, parameters: Parameters) -> str:
    operand, column = clause.value, _COLUMNS[RecordField.IDENTITY]
    match clause.op:
        case Op.IN:
            items: Any = operand
            texts = [item for item in items if isinstance(item, str)]
            return f"{column} = ANY({parameters.bind(texts, 'text[]')})"
        case Op.EXISTS:
            return "TRUE" if operand else "FALSE"
        case Op.TYPE:
            return "TRUE" if operand == "string" else "FALSE"
        case Op.NEAR | Op.WITHIN:
            return "FALSE"
        case Op.REGEX:
            found = literal(str(operand))
            assert found is not None
            return _identity_matches(column, found, parameters)
    if not isinstance(operand, str):
        return "FALSE"
    match clause.op:
        case Op.STARTSWITH:
            return _identity_starts_with(column, operand, parameters)
        case Op.ENDSWITH:
            length = parameters.bind(len(operand), "integer")
            return f"right({column}, {length}) = {parameters.bind(operand, 'text')}"
        case Op.CONTAINS:
            return f"strpos({column}, {parameters.bind(operand, 'text')}) > 0"
        case Op.EQ:
            return f"{column} = {parameters.bind(operand, 'text')}"
        case _ if clause.order is Order.VERSION:
            key = version_text(operand)
            if key is None:
                return "FALSE"
            sign = _SIGNS[clause.op]
            return f'__schema__.version_key({column}) COLLATE "C" {sign} {parameters.bind(key, "text")}'
        case _:
            return f"{column} {_SIGNS[clause.op]} {parameters.bind(operand, 'text')}"


def _identity_matches(column: str, found: Literal, parameters: Parameters) -> str:
    if found.anchored:
        return _identity_starts_with(column, found.text, parameters)
    return f"strpos({column}, {parameters.bind(found.text, 'text')}) > 0"


def _identity_starts_with(column: str, prefix: str, parameters: Parameters) -> str:
    if not prefix:
        return "TRUE"
    low, end = parameters.bind(prefix, "text"), successor(prefix)
    if end is None:
        return f"{column} >= {low}"
    return f"({column} >= {low} AND {column} < {parameters.bind(end, 'text')})"


def _of_moment(column: str, clause: Compare, parameters: Parameters) -> str:
    operand = clause.value
    match clause.op:
        case Op.EXISTS:
            return f"{column} IS {'NOT NULL' if operand else 'NULL'}"
        case Op.TYPE:
            return f"{column} IS NOT NULL" if operand == "number" else "FALSE"
        case Op.IN:
            items: Any = operand
            numbers = [documents.number(item) for item in items if _is_number(item)]
            return f"{column}::numeric = ANY({parameters.bind(numbers, 'numeric[]')})"
        case Op.EQ | Op.LT | Op.LTE | Op.GT | Op.GTE:
            if not _is_number(operand) or (clause.op is not Op.EQ and clause.order is Order.VERSION):
                return "FALSE"
            sign = _SIGNS.get(clause.op, "=")
            if isinstance(operand, int) and -_INT64 <= operand < _INT64:
                return f"{column} {sign} {parameters.bind(operand, 'bigint')}"
            assert isinstance(operand, (int, float))
            return f"{column}::numeric {sign} {parameters.bind(documents.number(operand), 'numeric')}"
        case _:
            return "FALSE"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
