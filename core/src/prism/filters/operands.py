"""What each operator takes as its operand; builds the clauses of every input form.

Each reader below gets an operand that is plain JSON already and returns it in the tree's form; what is wrong
with it goes to the list of problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from prism.filters.ast import Box, Compare, Field, Near, Op, Operand, RecordField
from prism.filters.paths import format_path
from prism.filters.patterns import PatternError, compile_pattern
from prism.filters.refusal import invalid_filter
from prism.filters.suggest import did_you_mean
from prism.model import json, time
from prism.model.errors import Violation

TYPE_NAMES = ("string", "number", "boolean", "array", "object")
"""What `type` can ask for; null and missing have no type."""

_OTHER_TYPE_NAMES = {
    "str": "string", "text": "string", "int": "number", "integer": "number", "float": "number", "double": "number",
    "bool": "boolean", "list": "array", "dict": "object", "map": "object",
}  # fmt: skip

_EQUALITY = frozenset({Op.EQ, Op.NE, Op.IN, Op.EXISTS})
_RELATIONAL = frozenset({Op.LT, Op.LTE, Op.GT, Op.GTE})
_STRING = frozenset({Op.STARTSWITH, Op.ENDSWITH, Op.CONTAINS, Op.REGEX})

_Problems: TypeAlias = "list[Violation]"
_Reader: TypeAlias = Callable[[Any, str, _Problems], Operand]

_NOTHING: Operand = ""
"""Stands in for an operand that was refused; it never leaves this module."""


def compare(field: Field, op: Op, value: object, at: str = "$") -> Compare:
    """Builds one clause from an operand in the written form, as every input form does.

    `value` is JSON (aware datetimes count as RFC 3339 text), a Near or a Box. Operands of $registered_at,
    $updated_at and $expires_at are RFC 3339 text and become microseconds. Raises InvalidFilter with every
    problem, each at `at` or inside it (`$.x.in[3]`).
    """
    problems: list[Violation] = []
    clause = read_compare(field, op, value, at, problems)
    if problems:
        raise invalid_filter(problems)
    return clause


def read_compare(field: Field, op: Op, value: object, at: str, problems: list[Violation]) -> Compare:
    """Like `compare`, but adds what is wrong to `problems`; the clause is of use only when nothing was."""
    return Compare(field, op, _read(field, op, value, at, problems), at=at)


def operand_to_json(clause: Compare) -> Any:
    """The clause's operand as `compare` reads it: JSON without Python-only types."""
    value = clause.value
    if isinstance(value, Near):
        return {"lat": value.lat, "lon": value.lon, "radius_m": value.radius_m}
    if isinstance(value, Box):
        return {"south": value.south, "west": value.west, "north": value.north, "east": value.east}
    if _is_time(clause.field) and clause.op is not Op.EXISTS:
        if isinstance(value, tuple):
            return [_moment_text(item) for item in value]
        return _moment_text(value)
    return list(value) if isinstance(value, tuple) else value


def operand_bytes(clause: Compare) -> int:
    """The size of the clause's path and operand in bytes of UTF-8 JSON."""
    return len(format_path(clause.field).encode()) + len(json.encode(operand_to_json(clause)))


def _read(field: Field, op: Op, value: object, at: str, problems: _Problems) -> Operand:
    if isinstance(field, RecordField) and not _allowed(field, op):
        problems.append(Violation(at, f"{op} does not work on {field}; {_advice(field)}"))
        return _NOTHING
    if value is None:
        text = f'expected a value, got null; to ask for a missing field write {{"{format_path(field)}.exists": false}}'
        problems.append(Violation(at, text))
        return _NOTHING
    if isinstance(value, (Near, Box)):
        return _region(op, value, at, problems)
    before = len(problems)
    plain = json.normalise(value, at, problems)
    if len(problems) > before:
        return _NOTHING
    read = _reader(field, op)
    return read(plain, at, problems)


def _reader(field: Field, op: Op) -> _Reader:
    if op is Op.EXISTS:
        return _boolean
    if field is RecordField.IDENTITY and op is not Op.REGEX:
        return _strings if op is Op.IN else _string
    if _is_time(field):
        return _moments if op is Op.IN else _moment
    return _READERS[op]


def _is_time(field: Field) -> bool:
    return isinstance(field, RecordField) and field is not RecordField.IDENTITY


def _allowed(field: RecordField, op: Op) -> bool:
    return op in _EQUALITY or op in _RELATIONAL or (op in _STRING and field is RecordField.IDENTITY)


def _advice(field: RecordField) -> str:
    if field is RecordField.IDENTITY:
        return "an identity is a string"
    return "compare the time with eq, ne, lt, lte, gt, gte or in"


def _anything(value: Any, at: str, problems: _Problems) -> Operand:
    del at, problems
    return value  # type: ignore[no-any-return]


def _ordered(value: Any, at: str, problems: _Problems) -> Operand:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        problems.append(Violation(at, f"expected a number or a string, got {json.describe(value)}"))
        return _NOTHING
    return value


def _string(value: Any, at: str, problems: _Problems) -> Operand:
    if not isinstance(value, str):
        problems.append(Violation(at, f"expected a string, got {json.describe(value)}"))
        return _NOTHING
    return value


def _pattern(value: Any, at: str, problems: _Problems) -> Operand:
    if not isinstance(value, str):
        return _string(value, at, problems)
    try:
        compile_pattern(value)
    except PatternError as error:
        problems.append(Violation(at, f"{json.describe(value)} is not an RE2 pattern: {error}"))
    return value


def _boolean(value: Any, at: str, problems: _Problems) -> Operand:
    if not isinstance(value, bool):
        problems.append(Violation(at, f"expected true or false, got {json.describe(value)}"))
        return _NOTHING
    return value


def _list_of(read: _Reader) -> _Reader:
    def items(value: Any, at: str, problems: _Problems) -> Operand:
        if not isinstance(value, list):
            problems.append(Violation(at, f"expected a list of values, got {json.describe(value)}"))
            return _NOTHING
        return tuple(read(item, f"{at}[{i}]", problems) for i, item in enumerate(value))

    return items


def _scalar(value: Any, at: str, problems: _Problems) -> Operand:
    if value is None:
        problems.append(Violation(at, "expected a value, got null; ask for a missing field with exists"))
        return _NOTHING
    if isinstance(value, (list, dict)):
        got = json.describe(value)
        problems.append(Violation(at, f"expected a string, number or boolean, got {got}; use eq to compare it whole"))
        return _NOTHING
    return value  # type: ignore[no-any-return]


def _type_name(value: Any, at: str, problems: _Problems) -> Operand:
    if isinstance(value, str) and value in TYPE_NAMES:
        return value
    hint = ""
    if value == "null":
        hint = "; ask for a missing field with exists"
    elif isinstance(value, str):
        known = _OTHER_TYPE_NAMES.get(value.lower())
        hint = f'; did you mean "{known}"?' if known else did_you_mean(value, TYPE_NAMES)
    problems.append(Violation(at, f"expected one of {', '.join(TYPE_NAMES)}, got {json.describe(value)}{hint}"))
    return _NOTHING


def _moment(value: Any, at: str, problems: _Problems) -> Operand:
    if isinstance(value, str):
        try:
            moment = time.parse_rfc3339(value)
            time.to_datetime(moment)
        except (ValueError, OverflowError):
            pass
        else:
            return moment
    wanted = 'expected an RFC 3339 timestamp such as "2025-10-09T12:00:00Z"'
    problems.append(Violation(at, f"{wanted}, got {json.describe(value)}"))
    return _NOTHING


def _moment_text(value: object) -> object:
    """Microseconds as text; anything else stays, for the reader to refuse."""
    if value.__class__ is not int:
        return value
    try:
        return time.to_rfc3339(value)
    except OverflowError:
        return value


def _near(value: Any, at: str, problems: _Problems) -> Operand:
    shape = 'expected {"lat": degrees, "lon": degrees, "radius_m": metres} (or "radius_km")'
    if not isinstance(value, Mapping):
        problems.append(Violation(at, f"{shape}, got {json.describe(value)}"))
        return _NOTHING
    unit = "radius_km" if "radius_km" in value and "radius_m" not in value else "radius_m"
    numbers = _numbers(value, ("lat", "lon", unit), shape, at, problems)
    if numbers is None:
        return _NOTHING
    lat, lon, radius = numbers
    metres = radius * 1000 if unit == "radius_km" else radius
    return _region(Op.NEAR, Near(lat, lon, metres), at, problems)


def _within(value: Any, at: str, problems: _Problems) -> Operand:
    shape = 'expected {"south": ..., "west": ..., "north": ..., "east": ...} in degrees'
    if not isinstance(value, Mapping):
        problems.append(Violation(at, f"{shape}, got {json.describe(value)}"))
        return _NOTHING
    numbers = _numbers(value, ("south", "west", "north", "east"), shape, at, problems)
    return _NOTHING if numbers is None else _region(Op.WITHIN, Box(*numbers), at, problems)


def _numbers(
    value: Mapping[str, Any], names: tuple[str, ...], shape: str, at: str, problems: _Problems
) -> list[float] | None:
    """The named numbers as floats; None, with a problem for each, where one is missing, extra or no number."""
    before = len(problems)
    for name in value:
        if name not in names:
            problems.append(Violation(f"{at}.{name}", f"unknown key{did_you_mean(name, names)}; {shape}"))
    for name in names:
        if name not in value:
            problems.append(Violation(at, f'has no "{name}"; {shape}'))
        elif value[name].__class__ not in (int, float):
            problems.append(Violation(f"{at}.{name}", f"expected a number, got {json.describe(value[name])}"))
    return [float(value[name]) for name in names] if len(problems) == before else None


def _region(op: Op, region: Near | Box, at: str, problems: _Problems) -> Operand:
    """A checked region in floats: ranges, and that it is the one this operator takes."""
    kind = Near if op is Op.NEAR else Box if op is Op.WITHIN else None
    if kind is None or region.__class__ is not kind:
        problems.append(Violation(at, f"{op} does not take a {type(region).__name__}"))
        return _NOTHING
    before = len(problems)
    if isinstance(region, Near):
        _in_range(region.lat, 90, f"{at}.lat", problems)
        _in_range(region.lon, 180, f"{at}.lon", problems)
        if not (_is_number(region.radius_m) and 0 <= region.radius_m < math.inf):
            problems.append(Violation(f"{at}.radius_m", f"expected metres, zero or more, got {region.radius_m}"))
    else:
        for name, bound in (("south", 90), ("north", 90), ("west", 180), ("east", 180)):
            _in_range(getattr(region, name), bound, f"{at}.{name}", problems)
        if _is_number(region.south) and _is_number(region.north) and region.south > region.north:
            problems.append(Violation(f"{at}.south", f"{region.south} is north of north ({region.north}); swap them"))
    if len(problems) > before:
        return _NOTHING
    if isinstance(region, Near):
        return Near(float(region.lat), float(region.lon), float(region.radius_m))
    return Box(float(region.south), float(region.west), float(region.north), float(region.east))


def _in_range(value: float, bound: int, place: str, problems: _Problems) -> None:
    if not (_is_number(value) and -bound <= value <= bound):
        problems.append(Violation(place, f"expected degrees from -{bound} to {bound}, got {value}"))


def _is_number(value: object) -> bool:
    return value.__class__ in (int, float)


_strings = _list_of(_string)
_moments = _list_of(_moment)

_READERS: dict[Op, _Reader] = {
    Op.EQ: _anything,
    Op.NE: _anything,
    Op.CONTAINS: _anything,
    Op.LT: _ordered,
    Op.LTE: _ordered,
    Op.GT: _ordered,
    Op.GTE: _ordered,
    Op.STARTSWITH: _string,
    Op.ENDSWITH: _string,
    Op.REGEX: _pattern,
    Op.IN: _list_of(_scalar),
    Op.EXISTS: _boolean,
    Op.TYPE: _type_name,
    Op.NEAR: _near,
    Op.WITHIN: _within,
}
