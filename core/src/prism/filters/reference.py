"""The reference evaluator: plain, slow, obviously right. Every other evaluation is measured against it.

The decided meanings are those of design section 6. Missing and null are both None here: "no value".
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from prism.filters.ast import And, Box, Compare, Field, MetadataField, Near, Node, Not, Op, Or, Order, RecordField
from prism.filters.geo import is_near, is_within
from prism.filters.patterns import compile_pattern
from prism.filters.record import RecordLike
from prism.filters.versions import version_key


def matches(node: Node, record: RecordLike) -> bool:
    """Says whether a record is one of those that a filter means."""
    match node:
        case And():
            return all(matches(child, record) for child in node.children)
        case Or():
            return any(matches(child, record) for child in node.children)
        case Not():
            return not matches(node.child, record)
        case Compare():
            return _EVALUATORS[node.op](value_of(node.field, record), node)


def value_of(field: Field, record: RecordLike) -> Any:
    """The value of a field, None when it is missing or null."""
    match field:
        case RecordField.IDENTITY:
            return record.identity
        case RecordField.REGISTERED_AT:
            return record.registered_at
        case RecordField.UPDATED_AT:
            return record.updated_at
        case RecordField.EXPIRES_AT:
            return record.expires_at
        case MetadataField():
            return value_at(field.keys, record.document)


def value_at(keys: tuple[str, ...], document: Any) -> Any:
    """Follows keys through objects, None where there is nothing. Arrays have no keys."""
    value = document
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def type_name(value: Any) -> str | None:
    """string, number, boolean, array or object; None for no value. A boolean is no number."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array"


def equal(left: Any, right: Any) -> bool:
    """Deep equality without coercion: 1 is 1.0 and isn't true; inside arrays and objects null is null."""
    if type_name(left) != type_name(right):
        return False
    if type_name(left) == "array":
        return len(left) == len(right) and all(map(equal, left, right))
    if type_name(left) == "object":
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return bool(left == right)


def _eq(value: Any, clause: Compare) -> bool:
    return value is not None and equal(value, clause.value)


def _ne(value: Any, clause: Compare) -> bool:
    return not _eq(value, clause)


def _relation(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Compare], bool]:
    def evaluate(value: Any, clause: Compare) -> bool:
        operand: Any = clause.value
        if type_name(value) != type_name(operand) or type_name(value) not in ("number", "string"):
            return False
        if clause.order is Order.VERSION:
            return _version_relation(holds, value, operand)
        return holds(value, operand)

    return evaluate


def _version_relation(holds: Callable[[Any, Any], bool], value: Any, operand: Any) -> bool:
    if not isinstance(value, str) or not isinstance(operand, str):
        return False
    left, right = version_key(value), version_key(operand)
    if left is None or right is None:
        return False
    return holds(left, right)


def _startswith(value: Any, clause: Compare) -> bool:
    return isinstance(value, str) and value.startswith(str(clause.value))


def _endswith(value: Any, clause: Compare) -> bool:
    return isinstance(value, str) and value.endswith(str(clause.value))


def _contains(value: Any, clause: Compare) -> bool:
    if isinstance(value, str):
        return isinstance(clause.value, str) and clause.value in value
    if isinstance(value, list):
        return any(equal(item, clause.value) for item in value)
    return False


def _regex(value: Any, clause: Compare) -> bool:
    return isinstance(value, str) and compile_pattern(str(clause.value))(value)


def _in(value: Any, clause: Compare) -> bool:
    if value is None or isinstance(value, (list, dict)):
        return False
    items: Any = clause.value
    return any(equal(value, item) for item in items)


def _exists(value: Any, clause: Compare) -> bool:
    return (value is not None) == clause.value


def _type(value: Any, clause: Compare) -> bool:
    return value is not None and type_name(value) == clause.value


def _near(value: Any, clause: Compare) -> bool:
    return isinstance(clause.value, Near) and is_near(value, clause.value)


def _within(value: Any, clause: Compare) -> bool:
    return isinstance(clause.value, Box) and is_within(value, clause.value)


_EVALUATORS: dict[Op, Callable[[Any, Compare], bool]] = {
    Op.EQ: _eq,
    Op.NE: _ne,
    Op.LT: _relation(operator.lt),
    Op.LTE: _relation(operator.le),
    Op.GT: _relation(operator.gt),
    Op.GTE: _relation(operator.ge),
    Op.STARTSWITH: _startswith,
    Op.ENDSWITH: _endswith,
    Op.CONTAINS: _contains,
    Op.REGEX: _regex,
    Op.IN: _in,
    Op.EXISTS: _exists,
    Op.TYPE: _type,
    Op.NEAR: _near,
    Op.WITHIN: _within,
}
