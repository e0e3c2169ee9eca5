"""Fits a parsed filter to a namespace's schema: what its types decide, and what can never match.

The schema stands above this layer, so it is seen through `SchemaView`. Without a schema nothing is bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from prism.filters.ast import And, Compare, MetadataField, Node, Not, Op, Operand, Or, Order, RecordField, SortKey
from prism.filters.paths import format_path
from prism.filters.refusal import invalid_filter
from prism.filters.suggest import did_you_mean
from prism.filters.versions import version_key
from prism.model import time
from prism.model.errors import InvalidArgument, Violation
from prism.model.json import describe


class FieldType(Protocol):
    """What the binder needs of one declared field."""

    @property
    def kind(self) -> str:
        """The schema type's name: string, int, float, bool, enum, timestamp, version, geo_point, array or object."""


class SchemaView(Protocol):
    """What the binder needs of a schema."""

    @property
    def closed(self) -> bool:
        """True where fields that the schema doesn't declare are refused."""

    def field_type(self, keys: tuple[str, ...]) -> FieldType | None:
        """The type declared for exactly this path, None when the schema says nothing of it."""

    def names(self) -> Iterable[str]:
        """The declared paths as text, for near matches."""


_TEXT = frozenset({"string", "enum", "timestamp", "version"})
_NUMBER = frozenset({"int", "float"})
_OPEN_BELOW = frozenset({"object", "geo_point"})
_LEAF = _TEXT | _NUMBER | {"bool", "array"}
_UNSORTABLE = frozenset({"array"}) | _OPEN_BELOW

_NEEDS: dict[Op, tuple[str, frozenset[str]]] = {
    Op.NEAR: ("a geo_point", frozenset({"geo_point"})),
    Op.WITHIN: ("a geo_point", frozenset({"geo_point"})),
    Op.CONTAINS: ("a string or an array", _TEXT | {"array"}),
    **dict.fromkeys((Op.STARTSWITH, Op.ENDSWITH, Op.REGEX), ("a string", _TEXT)),
    **dict.fromkeys((Op.LT, Op.LTE, Op.GT, Op.GTE), ("a number or a string", _TEXT | _NUMBER)),
    Op.IN: ("a string, number or boolean", _TEXT | _NUMBER | {"bool"}),
}
"""The declared types for which an operator can be true, where they aren't all."""

_RELATIONAL = frozenset({Op.LT, Op.LTE, Op.GT, Op.GTE})
_STRING_OPS = frozenset({Op.STARTSWITH, Op.ENDSWITH, Op.REGEX})
_TYPED = _RELATIONAL | {Op.EQ, Op.NE}
"""Operators whose operand has the field's type."""

_EXPECTED: dict[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(_TEXT, ("a string", (str,))),
    **dict.fromkeys(_NUMBER, ("a number", (int, float))),
    "bool": ("a boolean", (bool,)),
    "array": ("a list", (list,)),
    "object": ("an object", (dict,)),
    "geo_point": ("an object with lat and lon", (dict,)),
}


def bind(node: Node, schema: SchemaView) -> Node:
    """Fits a filter to a schema (design section 6).

    Comparisons of `version` fields get Order.VERSION, timestamp operands become the fixed-width text that
    metadata holds. Raises InvalidFilter, naming every place at fault, for a field that a closed schema doesn't
    have and for an operator or operand that can never match the declared type.
    """
    problems: list[Violation] = []
    bound = _bind(node, schema, problems)
    if problems:
        raise invalid_filter(problems)
    return bound


def bind_sort(keys: Sequence[SortKey], schema: SchemaView) -> tuple[SortKey, ...]:
    """Fits a sort order to a schema: `version` fields sort as versions.

    Raises InvalidArgument for fields that a closed schema doesn't have or that have no order.
    """
    problems: list[Violation] = []
    bound = []
    for i, key in enumerate(keys):
        place = f"sort_by[{i}]"
        kind = _kind(key.field, schema, place, problems)
        if kind in _UNSORTABLE:
            shown = format_path(key.field)
            problems.append(Violation(place, f'"{shown}" is {_a(kind)}, which has no order; sort by another field'))
        bound.append(replace(key, order=Order.VERSION) if kind == "version" else key)
    if problems:
        raise InvalidArgument.of(problems)
    return tuple(bound)


def _bind(node: Node, schema: SchemaView, problems: list[Violation]) -> Node:
    match node:
        case Compare():
            return _bind_compare(node, schema, problems)
        case And() | Or():
            return replace(node, children=tuple(_bind(child, schema, problems) for child in node.children))
        case Not():
            return Not(_bind(node.child, schema, problems))


def _bind_compare(clause: Compare, schema: SchemaView, problems: list[Violation]) -> Compare:
    kind = _kind(clause.field, schema, clause.at, problems)
    if kind is None or clause.op in (Op.EXISTS, Op.TYPE):
        return clause
    before = len(problems)
    _check_operator(clause, kind, problems)
    if len(problems) > before:
        return clause
    if kind == "timestamp" and clause.op not in _STRING_OPS and clause.op is not Op.CONTAINS:
        return _bind_timestamp(clause, problems)
    if kind == "version" and clause.op in _RELATIONAL:
        return _bind_version(clause, problems)
    return clause


def _kind(field: MetadataField | RecordField, schema: SchemaView, place: str, problems: list[Violation]) -> str | None:
    """The declared type of a field, None where the schema leaves it open."""
    if isinstance(field, RecordField):
        return None
    declared = schema.field_type(field.keys)
    if declared is not None:
        return declared.kind
    for length in range(len(field.keys) - 1, 0, -1):
        outer = schema.field_type(field.keys[:length])
        if outer is None:
            continue
        if outer.kind in _LEAF:
            shown = format_path(MetadataField(field.keys[:length]))
            problems.append(Violation(place, f'"{shown}" is {_a(outer.kind)}; it has no fields inside'))
        return None
    if schema.closed:
        shown = format_path(field)
        hint = did_you_mean(shown, schema.names())
        problems.append(Violation(place, f'the schema has no field "{shown}"{hint}'))
    return None


def _check_operator(clause: Compare, kind: str, problems: list[Violation]) -> None:
    """Refuses operators and operands that can't hold for any value of the type."""
    needs, kinds = _NEEDS.get(clause.op, ("", frozenset(_EXPECTED)))
    if kind in _EXPECTED and kind not in kinds:
        hint = "; use contains" if clause.op is Op.IN and kind == "array" else ""
        problems.append(Violation(clause.at, f"{clause.op} needs {needs}, and the field is {_a(kind)}{hint}"))
    elif clause.op is Op.IN and isinstance(clause.value, tuple):
        for i, item in enumerate(clause.value):
            _check_operand(kind, item, f"{clause.at}[{i}]", problems)
    elif clause.op in _TYPED or (clause.op is Op.CONTAINS and kind in _TEXT):
        _check_operand(kind, clause.value, clause.at, problems)


def _check_operand(kind: str, value: object, place: str, problems: list[Violation]) -> None:
    if kind not in _EXPECTED:
        return
    expected, types = _EXPECTED[kind]
    if value.__class__ not in types:
        problems.append(Violation(place, f"expected {expected}, got {describe(value)}"))


def _bind_timestamp(clause: Compare, problems: list[Violation]) -> Compare:
    if isinstance(clause.value, tuple):
        items = tuple(_timestamp(item, f"{clause.at}[{i}]", problems) for i, item in enumerate(clause.value))
        return replace(clause, value=items)
    return replace(clause, value=_timestamp(clause.value, clause.at, problems))


def _timestamp(value: object, place: str, problems: list[Violation]) -> Operand:
    text = str(value)
    try:
        return time.to_rfc3339(time.parse_rfc3339(text))
    except (ValueError, OverflowError):
        wanted = 'expected an RFC 3339 timestamp such as "2025-10-09T12:00:00Z"'
        problems.append(Violation(place, f"{wanted}, got {describe(value)}"))
        return text


def _bind_version(clause: Compare, problems: list[Violation]) -> Compare:
    if version_key(str(clause.value)) is None:
        wanted = 'expected a version such as "1.10.2" or "2.0.0-rc.1"'
        problems.append(Violation(clause.at, f"{wanted}, got {describe(clause.value)}"))
    return replace(clause, order=Order.VERSION)


def _refuse(clause: Compare, text: str, problems: list[Violation]) -> None:
    problems.append(Violation(clause.at, text))


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
