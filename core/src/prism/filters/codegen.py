"""Python source from the shape of a filter, in which no text of the filter ever stands.

Keys and operands become the names c0, c1, ...; whoever runs the source binds them. Filters of one shape give
one source, so that compiled code can be cached by it. Reading the source: `d` is the document, `r` the record,
`v0`, `v1`, ... values on their way, `t` a type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prism.filters.ast import And, Compare, MetadataField, Node, Not, Op, Or, Order
from prism.filters.geo import is_near, is_within
from prism.filters.patterns import compile_pattern
from prism.filters.versions import version_key

_SYMBOL = {Op.LT: "<", Op.LTE: "<=", Op.GT: ">", Op.GTE: ">="}
_NUMBER = "((t := type({v})) is int or t is float)"
_IS_TYPE = {
    "string": "type({v}) is str",
    "number": _NUMBER,
    "boolean": "type({v}) is bool",
    "array": "type({v}) is list",
    "object": "type({v}) is dict",
}

_CHEAP, _TEXT, _NESTED, _SLOW, _SLOWEST = 1, 2, 3, 10, 100
"""Rough costs of a clause, by which the parts of an And and an Or are ordered."""


class Source:
    """The condition for one filter as a Python expression, and the constants it names."""

    def __init__(self, node: Node) -> None:
        self.constants: list[Any] = []
        self.metadata_only = True
        self._values = 0
        self.condition = self._node(node)

    @property
    def names(self) -> list[str]:
        """The names that stand for the constants, in order."""
        return [f"c{i}" for i in range(len(self.constants))]

    def _node(self, node: Node) -> str:
        match node:
            case Compare():
                return self._compare(node)
            case Not():
                return f"not {self._node(node.child)}"
            case And(children=()):
                return "True"
            case Or(children=()):
                return "False"
            case And() | Or():
                # The cheap first. No part can fail, so their order changes the speed alone.
                word = " and " if isinstance(node, And) else " or "
                return f"({word.join(self._node(child) for child in sorted(node.children, key=_cost))})"

    def _compare(self, clause: Compare) -> str:
        if clause.op is Op.NE:
            return f"not {self._test(clause, Op.EQ)}"
        if clause.op is Op.EXISTS:
            present = self._test(clause, Op.EXISTS)
            return present if clause.value else f"not {present}"
        return self._test(clause, clause.op)

    def _test(self, clause: Compare, op: Op) -> str:
        """`(value has the type and the relation)`, false where there is no value."""
        guards, value = self._load(clause)
        return f"({' and '.join([*guards, self._relation(clause, op, value)])})"

    def _load(self, clause: Compare) -> tuple[list[str], str]:
        """What must hold for the value to be there at all, and the expression that reads it."""
        if not isinstance(clause.field, MetadataField):
            self.metadata_only = False
            return [], f"r.{clause.field.value[1:]}"
        guards, holder = [], "d"
        for key in clause.field.keys[:-1]:
            name = self._value()
            guards.append(f"type({name} := {holder}.get({self._constant(key)})) is dict")
            holder = name
        return guards, f"{holder}.get({self._constant(clause.field.keys[-1])})"

    def _relation(self, clause: Compare, op: Op, load: str) -> str:
        if op in _SYMBOL:
            return self._ordering(clause, op, load)
        if op is Op.EXISTS:
            return f"{load} is not None"
        return _WRITERS[op](self, clause.value, load)

    def _equality(self, operand: Any, load: str) -> str:
        kind = type(operand)
        if kind is str:  # no other JSON type equals a string
            return f"{load} == {self._constant(operand)}"
        if kind is bool:
            return f"{load} is {operand}"
        name = self._value()
        if kind is int or kind is float:  # Python's True == 1
            return f"({name} := {load}) == {self._constant(operand)} and type({name}) is not bool"
        constant = self._constant(operand)
        same = self._constant(_same_booleans)
        return f"({name} := {load}) == {constant} and {same}({name}, {constant})"

    def _membership(self, items: tuple[Any, ...], load: str) -> str:
        """A hashed lookup for strings and one for numbers; booleans by themselves, since True == 1."""
        name = self._value()
        texts = frozenset(item for item in items if type(item) is str)
        numbers = frozenset(item for item in items if type(item) in (int, float))
        tests = [f"{name} is {item}" for item in (True, False) if any(other is item for other in items)]
        if texts:
            tests.append(f"type({name}) is str and {name} in {self._constant(texts)}")
        if numbers:
            tests.append(f"{_NUMBER.format(v=name)} and {name} in {self._constant(numbers)}")
        return f"(({name} := {load}) is not None and ({' or '.join(tests) or 'False'}))"

    def _contains(self, operand: Any, load: str) -> str:
        name = self._value()
        constant = self._constant(operand)
        if type(operand) is str:
            return f"((t := type({name} := {load})) is str or t is list) and {constant} in {name}"
        holds = self._constant(_has_item)
        return f"type({name} := {load}) is list and {constant} in {name} and {holds}({name}, {constant})"

    def _type(self, operand: Any, load: str) -> str:
        return _IS_TYPE[operand].format(v=load)

    def _startswith(self, operand: Any, load: str) -> str:
        name = self._value()
        return f"type({name} := {load}) is str and {name}.startswith({self._constant(operand)})"

    def _endswith(self, operand: Any, load: str) -> str:
        name = self._value()
        return f"type({name} := {load}) is str and {name}.endswith({self._constant(operand)})"

    def _regex(self, operand: Any, load: str) -> str:
        return self._call("str", compile_pattern(operand), load)

    def _near(self, operand: Any, load: str) -> str:
        return self._call("dict", lambda value: is_near(value, operand), load)

    def _within(self, operand: Any, load: str) -> str:
        return self._call("dict", lambda value: is_within(value, operand), load)

    def _ordering(self, clause: Compare, op: Op, load: str) -> str:
        name, operand, symbol = self._value(), clause.value, _SYMBOL[op]
        if clause.order is Order.VERSION:
            bound = version_key(operand) if isinstance(operand, str) else None
            if bound is None:
                return "False"
            parse, key = self._constant(version_key), self._value()
            test = f"({key} := {parse}({name})) is not None and {key} {symbol} {self._constant(bound)}"
            return f"type({name} := {load}) is str and {test}"
        if type(operand) is str:
            return f"type({name} := {load}) is str and {name} {symbol} {self._constant(operand)}"
        number = _NUMBER.format(v=f"{name} := {load}")
        return f"{number} and {name} {symbol} {self._constant(operand)}"

    def _call(self, kind: str, test: Callable[[Any], bool], load: str) -> str:
        name = self._value()
        return f"type({name} := {load}) is {kind} and {self._constant(test)}({name})"

    def _constant(self, value: Any) -> str:
        self.constants.append(value)
        return f"c{len(self.constants) - 1}"

    def _value(self) -> str:
        self._values += 1
        return f"v{self._values - 1}"


_WRITERS: dict[Op, Callable[[Source, Any, str], str]] = {
    Op.EQ: Source._equality,
    Op.IN: Source._membership,
    Op.TYPE: Source._type,
    Op.CONTAINS: Source._contains,
    Op.STARTSWITH: Source._startswith,
    Op.ENDSWITH: Source._endswith,
    Op.REGEX: Source._regex,
    Op.NEAR: Source._near,
    Op.WITHIN: Source._within,
}


def _cost(node: Node) -> int:
    match node:
        case Compare(op=Op.REGEX | Op.NEAR | Op.WITHIN):
            return _SLOWEST
        case Compare():
            return _clause_cost(node)
        case Not():
            return _cost(node.child)
        case And() | Or():
            return _SLOW + sum(map(_cost, node.children))


def _clause_cost(clause: Compare) -> int:
    deep = _NESTED * (len(clause.field.keys) - 1) if isinstance(clause.field, MetadataField) else 0
    if clause.order is Order.VERSION or isinstance(clause.value, (list, dict)):
        return deep + _SLOW
    return deep + (_CHEAP if clause.op in (Op.EQ, Op.NE, Op.EXISTS) else _TEXT)


def _same_booleans(left: Any, right: Any) -> bool:
    """Of two values that Python finds equal: true when booleans stand in the same places."""
    kind = type(left)
    if kind is list:
        return all(map(_same_booleans, left, right))
    if kind is dict:
        return all(_same_booleans(item, right[key]) for key, item in left.items())
    return (kind is bool) is (type(right) is bool)


def _has_item(items: list[Any], wanted: Any) -> bool:
    return any(item == wanted and _same_booleans(item, wanted) for item in items)
