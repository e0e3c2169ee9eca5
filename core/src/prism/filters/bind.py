"""Fits a parsed filter to a namespace's schema: what its types decide, and what can never match.

The schema stands above this layer, so it is seen through `SchemaView`. Without a schema nothing is bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from prism.filters.ast import And, Compare, MetadataField, Node, Not, Op, Or, Order, RecordField, SortKey
from prism.filters.fitting import KINDS, NUMBER, TEXT, FieldType, fit_class, fit_equal, fit_ordered
from prism.filters.paths import OPERATORS, format_path
from prism.filters.refusal import invalid_filter
from prism.filters.suggest import did_you_mean
from prism.model.errors import InvalidArgument, Violation


class SchemaView(Protocol):
    """What the binder needs of a schema."""

    @property
    def closed(self) -> bool:
        """True where fields that the schema doesn't declare are refused."""

    def field_type(self, keys: tuple[str, ...]) -> FieldType | None:
        """The type declared for exactly this path, None when the schema says nothing of it."""

    def names(self) -> Iterable[str]:
        """The declared paths as text, for near matches."""


_OPEN_BELOW = frozenset({"object", "geo_point"})
_LEAF = TEXT | NUMBER | {"bool", "array"}
_UNSORTABLE = frozenset({"array"}) | _OPEN_BELOW

_NEEDS: dict[Op, tuple[str, frozenset[str]]] = {
    Op.NEAR: ("a geo_point", frozenset({"geo_point"})),
    Op.WITHIN: ("a geo_point", frozenset({"geo_point"})),
    Op.CONTAINS: ("a string or an array", TEXT | {"array"}),
    **dict.fromkeys((Op.STARTSWITH, Op.ENDSWITH, Op.REGEX), ("a string", TEXT)),
    **dict.fromkeys((Op.LT, Op.LTE, Op.GT, Op.GTE), ("a number or a string", TEXT | NUMBER)),
    Op.IN: ("a string, number or boolean", TEXT | NUMBER | {"bool"}),
}
"""The declared types for which an operator can be true, where they aren't all."""

_RELATIONAL = frozenset({Op.LT, Op.LTE, Op.GT, Op.GTE})


def bind(node: Node, schema: SchemaView) -> Node:
    """Fits a filter to a schema (design section 6).

    Comparisons of `version` fields get Order.VERSION, timestamp operands become the fixed-width text that
    metadata holds. Raises InvalidFilter, naming every place at fault, for a field that a closed schema doesn't
    have and for an operator or operand that can never match the declared type: with `ne` or `not` a typo in it
    would mean everyone.
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
        declared = _declared(key.field, schema, place, problems)
        kind = "" if declared is None else declared.kind
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
    declared = _declared(clause.field, schema, clause.at, problems)
    if declared is None or not _can_hold(clause, declared.kind, problems):
        return clause
    if clause.op in _RELATIONAL:
        order = Order.VERSION if declared.kind == "version" else clause.order
        return replace(clause, value=fit_ordered(declared, clause.value, clause.at, problems), order=order)
    if clause.op in (Op.EQ, Op.NE):
        return replace(clause, value=fit_equal(declared, clause.value, clause.at, problems))
    if clause.op is Op.IN and isinstance(clause.value, tuple):
        items = [fit_equal(declared, item, f"{clause.at}[{i}]", problems) for i, item in enumerate(clause.value)]
        return replace(clause, value=tuple(items))
    if clause.op is Op.CONTAINS and declared.kind in TEXT:
        fit_class(declared, clause.value, clause.at, problems)
    elif clause.op is Op.CONTAINS and declared.items is not None:
        return replace(clause, value=fit_equal(declared.items, clause.value, clause.at, problems))
    return clause


def _declared(
    field: MetadataField | RecordField, schema: SchemaView, place: str, problems: list[Violation]
) -> FieldType | None:
    """The declared type of a field, None where the schema leaves it open."""
    if isinstance(field, RecordField):
        return None
    declared = schema.field_type(field.keys)
    if declared is not None:
        return declared
    for length in range(len(field.keys) - 1, 0, -1):
        outer = schema.field_type(field.keys[:length])
        if outer is None:
            continue
        if outer.kind in _LEAF:
            shown = format_path(MetadataField(field.keys[:length]))
            inner = field.keys[length]
            hint = did_you_mean(inner, OPERATORS) or f"; operators are {', '.join(sorted(OPERATORS))}"
            text = f'"{shown}" is {_a(outer.kind)}; it has no fields inside, and "{inner}" is no operator{hint}'
            problems.append(Violation(place, text))
        return None
    if schema.closed:
        shown = format_path(field)
        hint = did_you_mean(shown, schema.names())
        problems.append(Violation(place, f'the schema has no field "{shown}"{hint}'))
    return None


def _can_hold(clause: Compare, kind: str, problems: list[Violation]) -> bool:
    """Whether the operator can hold for any value of the type; else a problem is added."""
    needs, kinds = _NEEDS.get(clause.op, ("", KINDS))
    if kind not in KINDS or kind in kinds:
        return True
    hint = "; use contains" if clause.op is Op.IN and kind == "array" else ""
    problems.append(Violation(clause.at, f"{clause.op} needs {needs}, and the field is {_a(kind)}{hint}"))
    return False


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
