"""The RFC's filter dictionaries (and JSON, and filters built in Python) into one tree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn, Protocol, TypeAlias, runtime_checkable

from prism.filters.ast import EVERYONE, And, Compare, Field, Node, Not, Op, Or
from prism.filters.operands import compare, operand_bytes, operand_to_json, read_compare
from prism.filters.paths import LOGICAL, OPERATORS, PREFIX, PathError, read_key, read_path
from prism.filters.refusal import invalid_filter, printable
from prism.filters.suggest import did_you_mean
from prism.model.errors import InvalidFilter, LimitExceeded, Violation
from prism.model.json import describe
from prism.model.limits import Limits, check_size

DEFAULT_LIMITS: Final = Limits()
_SHOWN_KEY = 128
_NODES = (Compare, And, Or, Not)


@runtime_checkable
class HasNode(Protocol):
    """A filter built in Python: anything whose `node` is a tree that was checked when it was built."""

    @property
    def node(self) -> Node:
        """The tree."""


Source: TypeAlias = "Mapping[str, Any] | HasNode | Node | None"
"""What `parse` takes. None and an empty mapping mean everyone."""


def parse(source: Source, limits: Limits = DEFAULT_LIMITS) -> Node:
    """Reads a filter in any of its forms (RFC: filter syntax; design section 6).

    Raises InvalidFilter that names every place at fault (`$.$and[1].battery_level.lt`), or LimitExceeded when
    the filter is deeper, wider or larger than the limits. Depth counts as written: a clause is 1, and `$and`,
    `$or`, `$not` and several keys in one mapping are one more each. Every clause counts, and so do the bytes
    of its path and operand.
    """
    if source is None:
        return EVERYONE
    reader = _Reader(limits)
    node = reader.node(source, "$", 1)
    if reader.problems:
        raise invalid_filter(reader.problems)
    return node


def parse_json(text: str | bytes, limits: Limits = DEFAULT_LIMITS) -> Node:
    """Reads a filter from JSON text. A key given twice is refused: dropping one would widen the filter.

    Raises as `parse` does. The text itself may have as many bytes as `limits.filter_bytes`.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    check_size("filter", len(data), limits.filter_bytes, "bytes", "shorten the filter")
    try:
        source = json.loads(data, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidFilter.at("$", "is nested too deeply to be read") from None
    except ValueError as error:
        raise InvalidFilter.at("$", f"is not JSON: {error}") from error
    if not isinstance(source, dict):
        raise InvalidFilter.at("$", f"expected a filter object, got {describe(source)}")
    return parse(source, limits)


def check(node: Node, limits: Limits = DEFAULT_LIMITS) -> Node:
    """Returns a tree whose clauses `compare` has built, or raises LimitExceeded when it is over the limits."""
    _Reader(limits).measure(node, "$", 1)
    return node


class _Reader:
    """One pass over one filter: counts against the limits, and collects problems instead of stopping at the first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.problems: list[Violation] = []
        self.clauses = 0
        self.size = 0

    def node(self, source: object, at: str, depth: int) -> Node:
        """Reads a filter in any form; after a problem, whatever it returns is never used."""
        if isinstance(source, Mapping):
            return self.mapping(source, at, depth)
        if isinstance(source, _NODES):
            return self.tree(source, at, depth)
        built = getattr(source, "node", None)
        if isinstance(built, _NODES):
            self.measure(built, at, depth)
            return built
        return self.problem(at, f"expected a filter object, got {describe(source)}")

    def mapping(self, source: Mapping[Any, Any], at: str, depth: int) -> Node:
        self.enter(at, depth)
        if not source:
            return EVERYONE
        if len(source) == 1:
            [(key, value)] = source.items()
            return self.entry(key, value, at, depth)
        return And(tuple(self.entry(key, value, at, depth + 1) for key, value in source.items()), implicit=True)

    def entry(self, key: object, value: object, at: str, depth: int) -> Node:
        if not isinstance(key, str):
            return self.problem(at, f"keys are strings, got {describe(key)}")
        place = f"{at}.{key}" if len(key) <= _SHOWN_KEY else f"{at}.{key[:_SHOWN_KEY]}..."
        self.enter(place, depth)
        if key in LOGICAL:
            return self.logical(key, value, place, depth)
        return self.clause(key, value, place)

    def logical(self, key: str, value: object, at: str, depth: int) -> Node:
        if key == "$not":
            if isinstance(value, (list, tuple)):
                return self.problem(at, "expected one filter object, got a list; write $not around $or or $and")
            return Not(self.node(value, at, depth + 1))
        if not isinstance(value, (list, tuple)):
            return self.problem(at, f"expected a list of filters, got {describe(value)}")
        if not value:
            return self.problem(at, "expected at least one filter, got an empty list")
        children = tuple(self.node(child, f"{at}[{i}]", depth + 1) for i, child in enumerate(value))
        return And(children) if key == "$and" else Or(children)

    def clause(self, key: str, value: object, at: str) -> Node:
        try:
            field, op, operand = _read_clause(key, value)
        except PathError as error:
            return self.problem(at, str(error))
        return self.counted(field, op, operand, at)

    def counted(self, field: Field, op: Op, operand: object, at: str) -> Compare:
        before = len(self.problems)
        clause = read_compare(field, op, operand, at, self.problems)
        self.count(at, operand_bytes(clause) if len(self.problems) == before else 0)
        return clause

    def tree(self, node: Node, at: str, depth: int) -> Node:
        """Reads a bare tree: whoever made it, its clauses are checked like written ones."""
        self.enter(at, depth)
        match node:
            case Compare():
                return replace(self.counted(node.field, node.op, operand_to_json(node), node.at), order=node.order)
            case Not():
                return Not(self.tree(node.child, at, depth + 1))
            case And() | Or():
                return replace(node, children=tuple(self.tree(child, at, depth + 1) for child in node.children))

    def measure(self, node: Node, at: str, depth: int) -> None:
        """Counts a tree that needs no other check."""
        self.enter(at, depth)
        match node:
            case Compare():
                self.count(node.at, operand_bytes(node))
            case Not():
                self.measure(node.child, at, depth + 1)
            case And() | Or():
                for child in node.children:
                    self.measure(child, at, depth + 1)

    def enter(self, at: str, depth: int) -> None:
        if depth > self.limits.filter_depth:
            fix = "flatten the filter (one mapping with several keys is one level)"
            _over(at, f"the filter is deeper than the limit of {self.limits.filter_depth} levels; {fix}")

    def count(self, at: str, size: int) -> None:
        self.clauses += 1
        self.size += size
        if self.clauses > self.limits.filter_clauses:
            fix = 'use "in" instead of many equalities, or send several requests'
            _over(at, f"the filter has more than the limit of {self.limits.filter_clauses} clauses; {fix}")
        if self.size > self.limits.filter_bytes:
            _over(
                at,
                f"the filter is over the limit of {self.limits.filter_bytes:,} bytes; shorten paths and operands",
            )

    def problem(self, at: str, text: str) -> Node:
        self.problems.append(Violation(at, text))
        return EVERYONE


def _read_clause(key: str, value: object) -> tuple[Field, Op, object]:
    """Field, operator and operand of one entry; the short forms become what they stand for."""
    if key == f"{PREFIX}.{Op.EXISTS}":
        if not isinstance(value, str):
            fix = f'write {{"FIELD.exists": ...}}; for a field called "exists", "{key}.eq"'
            raise PathError(f"expected the path of a field, got {describe(value)}; {fix}")
        return read_path(value), Op.EXISTS, True
    field, op = read_key(key)
    if op is not None:
        return field, op, value
    if isinstance(value, str) and value == "*":
        return field, Op.EXISTS, True
    if isinstance(value, Mapping):
        _refuse_operator_object(key, value)
    return field, Op.EQ, value


def _refuse_operator_object(key: str, value: Mapping[Any, Any]) -> None:
    for inner in value:
        if isinstance(inner, str) and inner.startswith("$"):
            name = inner[1:]
            hint = f'; write "{key}.{name}"' if name in OPERATORS else did_you_mean(name, OPERATORS)
            literal = f'to compare the object itself, "{key}.eq"'
            raise PathError(f'operators stand at the end of the path, not inside: "{inner}"{hint} ({literal})')


def _over(at: str, text: str) -> NoReturn:
    place = printable(at)
    raise LimitExceeded(f"{place}: {text}", violations=(Violation(place, text),))


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    merged = dict(pairs)
    if len(merged) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'the key "{twice}" is given twice in one object; use $and')
    return merged


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


__all__ = ["DEFAULT_LIMITS", "HasNode", "Source", "check", "compare", "parse", "parse_json"]
