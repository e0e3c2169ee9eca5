"""Filters written in Python: `Filter(room="x")`, `Filter().eq("room", "x")`, `F.battery < 0.2`.

Every form is checked when it is built and gives the tree that the RFC's dictionary would. How deep or wide a
filter may be is the namespace's to say, when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from prism.filters.ast import EVERYONE, And, Box, Compare, Field, MetadataField, Node, Not, Op, Or
from prism.filters.mapping import to_mapping
from prism.filters.parse import DEFAULT_LIMITS, Source, check, compare, parse
from prism.filters.paths import PREFIX, format_key, format_path, parse_path
from prism.model.errors import InvalidFilter
from prism.model.json import describe

_ANY_SIZE: Final = replace(DEFAULT_LIMITS, filter_depth=64, filter_clauses=100_000, filter_bytes=64 * 1024 * 1024)
"""Bounds what a program can build by mistake; the limits that matter are the namespace's."""


@dataclass(frozen=True, slots=True, init=False)
class Filter:
    """Says which identities are meant. Immutable; combine with `&`, `|` and `~`, or chain methods (an `and`).

        Filter(room="engineering", battery_level__lt=0.2, location__building="HQ")
        Filter({"battery_level.lt": 0.2})
        Filter().eq("service_name", "payment").gte("weight", 5)

    In a keyword, `__` stands for the dot. As in the dictionaries, a value of `"*"` asks that the field exists,
    while the methods (`eq("x", "*")`) take it literally. Without anything, it means everyone.
    Raises InvalidFilter.
    """

    node: Node

    def __init__(self, source: Source = None, /, **fields: object) -> None:
        named = {name.replace("__", "."): value for name, value in fields.items()}
        if len(named) < len(fields):
            raise InvalidFilter.at("$", "two keywords name the same field and operator; combine two filters with &")
        node = parse(source, _ANY_SIZE)
        if named:
            node = _and(node, parse(named, _ANY_SIZE))
        object.__setattr__(self, "node", check(node, _ANY_SIZE))

    def __and__(self, other: Filter) -> Filter:
        return _of(_and(self.node, other.node)) if isinstance(other, Filter) else NotImplemented

    def __or__(self, other: Filter) -> Filter:
        return _of(_or(self.node, other.node)) if isinstance(other, Filter) else NotImplemented

    def __invert__(self) -> Filter:
        return _of(Not(self.node))

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a Filter is neither true nor false: combine with & | ~ in parentheses instead of and, or, not; "
            "write (F.x > 1) & (F.x < 2) instead of 1 < F.x < 2; test for absence with `is None`"
        )

    def __repr__(self) -> str:
        mapping = to_mapping(self.node)
        return f"Filter({mapping})" if mapping else "Filter()"

    def eq(self, path: str, value: object) -> Filter:
        """And the field equals the value; arrays and objects as a whole."""
        return self._with(path, Op.EQ, value)

    def ne(self, path: str, value: object) -> Filter:
        """And the field doesn't equal the value, or has none."""
        return self._with(path, Op.NE, value)

    def lt(self, path: str, value: object) -> Filter:
        """And the field is less than a number or string."""
        return self._with(path, Op.LT, value)

    def lte(self, path: str, value: object) -> Filter:
        """And the field is less than or equal to a number or string."""
        return self._with(path, Op.LTE, value)

    def gt(self, path: str, value: object) -> Filter:
        """And the field is greater than a number or string."""
        return self._with(path, Op.GT, value)

    def gte(self, path: str, value: object) -> Filter:
        """And the field is greater than or equal to a number or string."""
        return self._with(path, Op.GTE, value)

    def startswith(self, path: str, prefix: str) -> Filter:
        """And the field is a string that begins with the prefix."""
        return self._with(path, Op.STARTSWITH, prefix)

    def endswith(self, path: str, suffix: str) -> Filter:
        """And the field is a string that ends with the suffix."""
        return self._with(path, Op.ENDSWITH, suffix)

    def contains(self, path: str, value: object) -> Filter:
        """And the field is a string with this substring, or an array with this item."""
        return self._with(path, Op.CONTAINS, value)

    def regex(self, path: str, pattern: str) -> Filter:
        """And the field is a string in which the RE2 pattern is found."""
        return self._with(path, Op.REGEX, pattern)

    def in_(self, path: str, values: Sequence[object]) -> Filter:
        """And the field is one of the values."""
        return self._with(path, Op.IN, values)

    def exists(self, path: str, present: bool = True) -> Filter:
        """And the field has a value (is there and not null), or with False has none."""
        return self._with(path, Op.EXISTS, present)

    def type_(self, path: str, name: str) -> Filter:
        """And the field is a string, number, boolean, array or object."""
        return self._with(path, Op.TYPE, name)

    def near(
        self, path: str, lat: float, lon: float, radius_m: float | None = None, *, radius_km: float | None = None
    ) -> Filter:
        """And the field is a point within `radius_m` metres (or `radius_km`) of a place given in degrees."""
        return self._with(path, Op.NEAR, _near(f"$.{path}", lat, lon, radius_m, radius_km))

    def within(self, path: str, south: float, west: float, north: float, east: float) -> Filter:
        """And the field is a point in a box given in degrees; `west > east` crosses the antimeridian."""
        return self._with(path, Op.WITHIN, Box(south, west, north, east))

    def _with(self, path: str, op: Op, value: object) -> Filter:
        return _of(_and(self.node, _clause(parse_path(path, f"$.{path}"), op, value)))


class FieldPath:
    """A field to compare: `F.room == "x"`, `F.location.building`, `F["a.b"]`. Comparisons give a Filter."""

    __slots__ = ("_field",)

    def __init__(self, field: Field) -> None:
        self._field = field

    def __getattr__(self, name: str) -> FieldPath:
        return self[_key(name)]

    def __getitem__(self, path: str) -> FieldPath:
        inner = parse_path(f"{PREFIX}.{_text(path)}", f"$.{path}")
        if not isinstance(self._field, MetadataField) or not isinstance(inner, MetadataField):
            raise InvalidFilter.at(f"$.{format_path(self._field)}", f'has no fields inside, so no "{path}"')
        return FieldPath(MetadataField(self._field.keys + inner.keys))

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return self._compare(Op.EQ, value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return self._compare(Op.NE, value)

    def __lt__(self, value: object) -> Filter:
        return self._compare(Op.LT, value)

    def __le__(self, value: object) -> Filter:
        return self._compare(Op.LTE, value)

    def __gt__(self, value: object) -> Filter:
        return self._compare(Op.GT, value)

    def __ge__(self, value: object) -> Filter:
        return self._compare(Op.GTE, value)

    __hash__ = None  # type: ignore[assignment]
    __iter__ = None

    def __contains__(self, value: object) -> NoReturn:
        raise TypeError(f"`in` can't make a filter: write {self!r}.contains(...) or {self!r}.in_([...])")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a field, neither true nor false: compare it, or write {self!r}.exists()")

    def __repr__(self) -> str:
        return f'F["{format_path(self._field)}"]'

    def in_(self, values: Sequence[object]) -> Filter:
        """The field is one of the values."""
        return self._compare(Op.IN, values)

    def contains(self, value: object) -> Filter:
        """The field is a string with this substring, or an array with this item."""
        return self._compare(Op.CONTAINS, value)

    def startswith(self, prefix: str) -> Filter:
        """The field is a string that begins with the prefix."""
        return self._compare(Op.STARTSWITH, prefix)

    def endswith(self, suffix: str) -> Filter:
        """The field is a string that ends with the suffix."""
        return self._compare(Op.ENDSWITH, suffix)

    def regex(self, pattern: str) -> Filter:
        """The field is a string in which the RE2 pattern is found."""
        return self._compare(Op.REGEX, pattern)

    def exists(self, present: bool = True) -> Filter:
        """The field has a value (is there and not null), or with False has none."""
        return self._compare(Op.EXISTS, present)

    def type_(self, name: str) -> Filter:
        """The field is a string, number, boolean, array or object."""
        return self._compare(Op.TYPE, name)

    def near(self, lat: float, lon: float, radius_m: float | None = None, *, radius_km: float | None = None) -> Filter:
        """The field is a point within `radius_m` metres (or `radius_km`) of a place given in degrees."""
        place = f"$.{format_key(self._field, Op.NEAR)}"
        return self._compare(Op.NEAR, _near(place, lat, lon, radius_m, radius_km))

    def within(self, south: float, west: float, north: float, east: float) -> Filter:
        """The field is a point in a box given in degrees; `west > east` crosses the antimeridian."""
        return self._compare(Op.WITHIN, Box(south, west, north, east))

    def _compare(self, op: Op, value: object) -> Filter:
        return _of(_clause(self._field, op, value))


class FieldFactory:
    """What `F` is: attributes and subscripts name fields. `F["$identity"]` is the record's own.

    `F.metadata.room` is `F.room`, as in the dictionaries.
    """

    __slots__ = ("_prefix",)

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        if not self._prefix and name == PREFIX:
            return FieldFactory(f"{PREFIX}.")
        return self[_key(name)]

    def __getitem__(self, path: str) -> FieldPath:
        return FieldPath(parse_path(self._prefix + _text(path), f"$.{path}"))

    def __repr__(self) -> str:
        return "F"


F: Final = FieldFactory()


def _key(name: str) -> str:
    """Refuses names that Python and its tools look for on any object."""
    if name.startswith("_"):
        raise AttributeError(f'a field whose name begins with "_" is written in brackets: F["{name}"]')
    return name


def _text(path: object) -> str:
    if not isinstance(path, str):
        raise InvalidFilter.at(f"$.{path}", f"a path is a string, got {describe(path)}; arrays have no positions")
    return path


def _near(place: str, lat: float, lon: float, metres: float | None, kilometres: float | None) -> dict[str, object]:
    """The region in its written form, which is checked as any other."""
    if (metres is None) == (kilometres is None):
        raise InvalidFilter.at(place, "takes one radius, either radius_m or radius_km")
    radius = {"radius_m": metres} if kilometres is None else {"radius_km": kilometres}
    return {"lat": lat, "lon": lon, **radius}


def _clause(field: Field, op: Op, value: object) -> Compare:
    return compare(field, op, value, f"$.{format_key(field, op)}")


def _of(node: Node) -> Filter:
    made = object.__new__(Filter)
    object.__setattr__(made, "node", check(node, _ANY_SIZE))
    return made


def _and(left: Node, right: Node) -> Node:
    """A flat And, so that a long chain isn't a deep one."""
    children = (*_children(And, left), *_children(And, right))
    return children[0] if len(children) == 1 else And(children, implicit=True) if children else EVERYONE


def _or(left: Node, right: Node) -> Node:
    return Or((*_children(Or, left), *_children(Or, right)))


def _children(kind: type[And | Or], node: Node) -> tuple[Node, ...]:
    return node.children if isinstance(node, (And, Or)) and isinstance(node, kind) else (node,)


__all__ = ["F", "FieldFactory", "FieldPath", "Filter", "to_mapping"]
