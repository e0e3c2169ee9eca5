"""A filter tree back in the RFC's form: for printing, cursors and the wire."""

from __future__ import annotations

from typing import Any

from prism.filters.ast import And, Compare, MetadataField, Node, Not, Op, Or
from prism.filters.operands import operand_to_json
from prism.filters.paths import OPERATORS, format_key, format_path


def to_mapping(node: Node) -> dict[str, Any]:
    """The canonical RFC form of a filter. Parsing it gives an equal tree.

    Two things that only later stages make are beyond the form: Order.VERSION is left out (`bind` sets it
    again), and an empty Or, which matches nobody, becomes `{"$not": {}}`.
    """
    match node:
        case Compare():
            return dict([_entry(node)])
        case And(children=()):
            return {}
        case And():
            flat = _one_mapping(node)
            return flat if flat is not None else {"$and": [to_mapping(child) for child in node.children]}
        case Or(children=()):
            return {"$not": {}}
        case Or():
            return {"$or": [to_mapping(child) for child in node.children]}
        case Not():
            return {"$not": to_mapping(node.child)}


def _one_mapping(node: And) -> dict[str, Any] | None:
    """An implicit And as the keys of one mapping, None where two children would share a key."""
    if not node.implicit or len(node.children) < 2:
        return None
    merged: dict[str, Any] = {}
    for child in node.children:
        part = to_mapping(child)
        if len(part) != 1 or not merged.keys().isdisjoint(part):
            return None
        merged.update(part)
    return merged


def _entry(clause: Compare) -> tuple[str, Any]:
    """Key and operand; the key names the operator except for an equality that can't be misread without."""
    value = operand_to_json(clause)
    if clause.op is Op.EQ and value != "*" and not isinstance(value, dict) and _reads_as_field(clause):
        return format_path(clause.field), value
    return format_key(clause.field, clause.op), value


def _reads_as_field(clause: Compare) -> bool:
    if not isinstance(clause.field, MetadataField):
        return True
    last = clause.field.keys[-1]
    return last not in OPERATORS and not last.startswith("$")
