"""Compiles field types to functions that check values. Each is made once, when the schema is read.

A check takes a normalised, non-null value that it may change in place, where it stands, the list to add
violations to, and the present moment; it returns the value to store.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

from prism.filters.suggest import did_you_mean
from prism.filters.versions import version_key
from prism.model import json
from prism.model.errors import Violation
from prism.model.time import Micros, parse_rfc3339, to_rfc3339
from prism.schema.types import MISSING, Field, FieldType, Kind

Check: TypeAlias = Callable[[Any, str, list[Violation], Micros], Any]

_FIXED = re.compile(r"\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

_WANTED = {
    Kind.STRING: "expected a string",
    Kind.VERSION: 'expected a version as a string, such as "1.10.2" or "2.0.0-rc.1"',
    Kind.INT: "expected an integer",
    Kind.FLOAT: "expected a number",
    Kind.BOOL: "expected true or false",
    Kind.TIMESTAMP: 'expected an RFC 3339 timestamp as a string, such as "2025-10-09T12:00:00Z"',
    Kind.ENUM: "expected a string",
    Kind.ARRAY: "expected a list",
    Kind.OBJECT: "expected an object",
    Kind.GEO_POINT: "expected an object with lat and lon in degrees",
}
_CLASSES: dict[Kind, frozenset[type]] = {
    Kind.STRING: frozenset({str}),
    Kind.INT: frozenset({int}),
    Kind.FLOAT: frozenset({int, float}),
    Kind.BOOL: frozenset({bool}),
}


def compile_type(field_type: FieldType) -> Check:
    """The check for values of one type."""
    match field_type.kind:
        case Kind.ENUM:
            return _enum(field_type.values)
        case Kind.TIMESTAMP:
            return _timestamp
        case Kind.VERSION:
            return _version
        case Kind.GEO_POINT:
            return _geo_point
        case Kind.ARRAY:
            return _array(field_type)
        case Kind.OBJECT:
            return compile_object(field_type.fields, closed=field_type.closed)
        case kind:
            return _plain(kind, field_type.max_length)


def compile_object(fields: tuple[Field, ...], *, closed: bool) -> Check:
    """The check for an object with these fields; `closed` refuses all others. Fills in what is missing."""
    steps = tuple(
        (field.name, _plain_classes(field.type), compile_type(field.type), field.required, _filler(field))
        for field in fields
    )
    names = frozenset(field.name for field in fields)

    def check(value: Any, place: str, problems: list[Violation], now: Micros) -> Any:
        if value.__class__ is not dict:
            return _refuse(Kind.OBJECT, value, place, problems)
        for name, classes, check_field, required, fill in steps:
            item = value.get(name)
            if item.__class__ in classes:
                continue
            if item is not None:
                checked = check_field(item, f"{place}.{name}", problems, now)
                if checked is not item:
                    value[name] = checked
            elif fill is not None:
                value[name] = fill(now)
            elif required:
                state = "is null" if name in value else "is missing"
                problems.append(Violation(f"{place}.{name}", f"{state}, but the schema requires it"))
        if closed and not value.keys() <= names:
            _refuse_others(value, names, place, problems)
        return value

    return check


def _plain_classes(field_type: FieldType) -> frozenset[type]:
    """The classes whose every value fits the type, so that nothing else needs a look; often none."""
    if field_type.max_length is not None:
        return frozenset()
    return _CLASSES.get(field_type.kind, frozenset())


def _refuse_others(value: json.Document, names: frozenset[str], place: str, problems: list[Violation]) -> None:
    allowed = ", ".join(sorted(names)) or "none"
    for name in value:
        if name not in names:
            hint = did_you_mean(name, names)
            problems.append(Violation(f"{place}.{name}", f"the schema has no such field (it has: {allowed}){hint}"))


def _filler(field: Field) -> Callable[[Micros], Any] | None:
    if field.auto_now:
        return to_rfc3339
    default = field.default
    if default is MISSING:
        return None
    if isinstance(default, (dict, list)):
        return lambda now: copy.deepcopy(default)  # noqa: ARG005 - the moment matters to auto fields alone
    return lambda now: default  # noqa: ARG005


def _refuse(kind: Kind, value: object, place: str, problems: list[Violation]) -> Any:
    problems.append(Violation(place, f"{_WANTED[kind]}, got {json.describe(value)}"))
    return value


def _plain(kind: Kind, max_length: int | None) -> Check:
    classes: frozenset[Any] = _CLASSES[kind]

    def check(value: Any, place: str, problems: list[Violation], now: Micros) -> Any:  # noqa: ARG001 - a Check
        if value.__class__ not in classes:
            return _refuse(kind, value, place, problems)
        if max_length is not None and len(value) > max_length:
            text = f"{len(value):,} characters are over the schema's max_length of {max_length:,}; shorten it"
            problems.append(Violation(place, text))
        return value

    return check


def _enum(values: tuple[str, ...]) -> Check:
    allowed = frozenset(values)
    listed = ", ".join(values)

    def check(value: Any, place: str, problems: list[Violation], now: Micros) -> Any:  # noqa: ARG001 - a Check
        if value.__class__ is not str:
            return _refuse(Kind.ENUM, value, place, problems)
        if value not in allowed:
            shown = value if len(value) <= 60 else value[:57] + "..."
            problems.append(Violation(place, f'"{shown}" is not one of {listed}{did_you_mean(value, values)}'))
        return value

    return check


def _timestamp(value: Any, place: str, problems: list[Violation], now: Micros) -> Any:  # noqa: ARG001 - a Check
    if value.__class__ is not str:
        return _refuse(Kind.TIMESTAMP, value, place, problems)
    try:
        if _FIXED.fullmatch(value):
            datetime.fromisoformat(value)
            return value
        if _RFC3339.fullmatch(value):
            return to_rfc3339(parse_rfc3339(value.upper()))
    except (ValueError, OverflowError) as error:
        problems.append(Violation(place, f'"{value[:60]}" is not a point in time: {error}'))
        return value
    return _refuse(Kind.TIMESTAMP, value, place, problems)


def _version(value: Any, place: str, problems: list[Violation], now: Micros) -> Any:  # noqa: ARG001 - a Check
    if value.__class__ is not str or not _is_version(value):
        return _refuse(Kind.VERSION, value, place, problems)
    return value


def _is_version(text: str) -> bool:
    return _is_short_version(text) if len(text) <= 64 else version_key(text) is not None


@lru_cache(maxsize=4096)
def _is_short_version(text: str) -> bool:
    return version_key(text) is not None


def _geo_point(value: Any, place: str, problems: list[Violation], now: Micros) -> Any:  # noqa: ARG001 - a Check
    if value.__class__ is not dict:
        return _refuse(Kind.GEO_POINT, value, place, problems)
    for name, limit in (("lat", 90), ("lon", 180)):
        degrees = value.get(name)
        if degrees.__class__ is not float and degrees.__class__ is not int:
            got = json.describe(degrees) if name in value else "nothing"
            problems.append(Violation(f"{place}.{name}", f"expected degrees as a number, got {got}"))
        elif not -limit <= degrees <= limit:
            text = f"{degrees} is not within -{limit} and {limit} degrees"
            problems.append(Violation(f"{place}.{name}", text))
    return value


def _array(field_type: FieldType) -> Check:
    items = field_type.items
    max_length = field_type.max_length
    check_item = compile_type(items) if items is not None else None
    plain = _plain_classes(items) if items is not None else frozenset()

    def check(value: Any, place: str, problems: list[Violation], now: Micros) -> Any:
        if value.__class__ is not list:
            return _refuse(Kind.ARRAY, value, place, problems)
        if max_length is not None and len(value) > max_length:
            text = f"{len(value):,} items are over the schema's max_length of {max_length:,}; leave some out"
            problems.append(Violation(place, text))
        if check_item is None or set(map(type, value)) <= plain:
            return value
        for i, item in enumerate(value):
            if item is None:
                problems.append(Violation(f"{place}[{i}]", f"{_WANTED[items.kind]}, got null"))  # type: ignore[union-attr]
            else:
                value[i] = check_item(item, f"{place}[{i}]", problems, now)
        return value

    return check
