"""Filter trees to and from Filter messages, with the places of the written form rebuilt for error messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

from google.protobuf.unknown_fields import UnknownFieldSet

from prism.filters.ast import And, Compare, Field, MetadataField, Node, Not, Op, Or
from prism.filters.operands import compare, operand_to_json
from prism.filters.parse import DEFAULT_LIMITS, parse_json
from prism.filters.paths import OPERATORS, format_path, parse_path
from prism.model.errors import InvalidFilter, LimitExceeded, Violation
from prism.model.limits import Limits
from prism.v1.filter_pb2 import Comparison, Filter, FilterList, Operator
from prism.wire.values import fill_value, from_value

_PREFIX = "OPERATOR_"
_NUMBERS: dict[Op, Any] = {op: Operator.Value(f"{_PREFIX}{op.name}") for op in Op}
_OPS: dict[int, Op] = {number: op for op, number in _NUMBERS.items()}
_SHOWN_PATH = 128
_EVERYONE = And(())


def to_filter(node: Node) -> Filter:
    """The message for a filter tree. Order.VERSION is left out: the server's schema sets it again."""
    message = Filter()
    _fill(message, node)
    return message


def from_filter(message: Filter, limits: Limits = DEFAULT_LIMITS) -> Node:
    """The filter tree in a message, each clause with its place (`$.$and[1].battery_level.lt`).

    Raises InvalidFilter with every place at fault, or LimitExceeded beyond `limits.filter_clauses`. Depth is
    checked by whoever parses the tree afterwards; protobuf bounds it to 100 before.
    """
    reader = _Reader(limits)
    node = reader.node(message, "$")
    if reader.problems:
        raise InvalidFilter.of(reader.problems)
    return node


def _fill(message: Filter, node: Node) -> None:
    match node:
        case Compare():
            _fill_comparison(message.comparison, node)
        case And(children, implicit):
            message.all_of.implicit = implicit
            message.all_of.SetInParent()
            _fill_list(message.all_of, children)
        case Or(children=()):  # nobody
            message.negated.all_of.SetInParent()
        case Or(children):
            _fill_list(message.any_of, children)
        case Not(child):
            _fill(message.negated, child)


def _fill_list(message: FilterList, children: tuple[Node, ...]) -> None:
    for child in children:
        _fill(message.filters.add(), child)


def _fill_comparison(message: Comparison, clause: Compare) -> None:
    message.path = format_path(clause.field)
    message.operator = _NUMBERS[clause.op]
    fill_value(message.operand, operand_to_json(clause))


class _Reader:
    """One pass over one message: collects problems instead of stopping at the first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.problems: list[Violation] = []
        self.clauses = 0
        self.nodes = 0

    def node(self, message: Filter, at: str) -> Node:
        self.nodes += 1
        most = (self.limits.filter_clauses + 1) * (self.limits.filter_depth + 1)
        if self.nodes > most:
            _over(at, f"the filter has more than {most} parts; flatten it")
        if self.refuse_unknown(message, at):
            return _EVERYONE
        match message.WhichOneof("kind"):
            case "comparison":
                return self.clause(message.comparison, at)
            case "all_of":
                return self.all_of(message.all_of, at)
            case "any_of":
                return self.any_of(message.any_of, f"{at}.$or")
            case "negated":
                return Not(self.node(message.negated, f"{at}.$not"))
            case "json":
                return self.json(message.json, at)
            case _:
                kinds = "comparison, all_of, any_of, negated or json"
                return self.problem(
                    at, f"the Filter has no kind set; set {kinds}, or leave the filter out for everyone"
                )

    def all_of(self, message: FilterList, at: str) -> Node:
        self.refuse_unknown(message, at)
        if message.implicit:
            return And(tuple(self.node(child, at) for child in message.filters), implicit=True)
        return And(tuple(self.node(child, f"{at}.$and[{i}]") for i, child in enumerate(message.filters)))

    def any_of(self, message: FilterList, at: str) -> Node:
        self.refuse_unknown(message, at)
        if not message.filters:
            return self.problem(at, "expected at least one filter, got an empty list")
        return Or(tuple(self.node(child, f"{at}[{i}]") for i, child in enumerate(message.filters)))

    def clause(self, message: Comparison, at: str) -> Node:
        self.count(at)
        self.refuse_unknown(message, at)
        path = message.path
        shown = path if len(path) <= _SHOWN_PATH else f"{path[:_SHOWN_PATH]}..."
        place = f"{at}.{shown}"
        op = _OPS.get(message.operator)
        if op is None:
            known = f"{_PREFIX}{Op.EQ.name} (1) to {_PREFIX}{Op.WITHIN.name} ({max(_OPS)})"
            return self.problem(place, f"{_operator(message.operator)}; set one of {known}")
        if not message.HasField("operand"):
            return self.problem(f"{place}.{op}", "the operand is not set")
        before = len(self.problems)
        try:
            field = parse_path(path, place)
            if op is not Op.EQ or _needs_operator(field):
                place = f"{place}.{op}"
            value = from_value(message.operand, place, self.problems)
            if len(self.problems) > before:
                return _EVERYONE
            return compare(field, op, value, place)
        except InvalidFilter as error:
            self.problems.extend(error.violations)
            return _EVERYONE

    def json(self, text: str, at: str) -> Node:
        try:
            node = parse_json(text, self.limits)
        except InvalidFilter as error:
            self.problems.extend(Violation(_moved(v.field, at), v.description) for v in error.violations)
            return _EVERYONE
        return node if at == "$" else self.placed(node, at)

    def placed(self, node: Node, at: str) -> Node:
        """A tree read from JSON inside another filter, with its places moved there."""
        match node:
            case Compare():
                self.count(at)
                return replace(node, at=_moved(node.at, at))
            case Not(child):
                return Not(self.placed(child, at))
            case And() | Or():
                return replace(node, children=tuple(self.placed(child, at) for child in node.children))

    def count(self, at: str) -> None:
        self.clauses += 1
        most = self.limits.filter_clauses
        if self.clauses > most:
            fix = 'use "in" instead of many equalities, or send several requests'
            _over(at, f"the filter has more than the limit of {most} clauses; {fix}")

    def refuse_unknown(self, message: Filter | FilterList | Comparison, at: str) -> bool:
        """A part of a filter that this version doesn't know must not be dropped: that could widen the filter."""
        unknown: Any = UnknownFieldSet(message)
        for field in unknown:
            what = f"{type(message).__name__} has the unknown field {field.field_number}"
            self.problem(at, f"{what}; this proxy is older than the client")
        return len(unknown) > 0

    def problem(self, at: str, text: str) -> Node:
        if len(self.problems) <= self.limits.filter_clauses:
            self.problems.append(Violation(at, text))
        return _EVERYONE


def _needs_operator(field: Field) -> bool:
    """Whether an equality on the field has to be written with `.eq`."""
    return isinstance(field, MetadataField) and len(field.keys) > 1 and field.keys[-1] in OPERATORS


def _operator(number: int) -> str:
    return "the operator is not set" if not number else f"{number} is no Operator"


def _over(at: str, text: str) -> NoReturn:
    raise LimitExceeded(f"{at}: {text}", violations=(Violation(at, text),))


def _moved(place: str, at: str) -> str:
    return f"{at}{place[1:]}" if place.startswith("$") else place
