"""Whether an operand can equal or order values of a declared type, and the form in which metadata holds it."""

from __future__ import annotations

from typing import Any, Protocol

from prism.filters.suggest import did_you_mean
from prism.filters.versions import version_key
from prism.model import time
from prism.model.errors import Violation
from prism.model.json import describe


class FieldType(Protocol):
    """What a filter needs to know of one declared field."""

    @property
    def kind(self) -> str:
        """The schema type's name: string, int, float, bool, enum, timestamp, version, geo_point, array or object."""

    @property
    def values(self) -> tuple[str, ...]:
        """What an enum allows."""

    @property
    def items(self) -> FieldType | None:
        """The type of an array's items, None for any."""


TEXT = frozenset({"string", "enum", "timestamp", "version"})
NUMBER = frozenset({"int", "float"})

_EXPECTED: dict[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(TEXT, ("a string", (str,))),
    **dict.fromkeys(NUMBER, ("a number", (int, float))),
    "bool": ("a boolean", (bool,)),
    "array": ("a list", (list,)),
    "object": ("an object", (dict,)),
    "geo_point": ("an object with lat and lon", (dict,)),
}

KINDS = frozenset(_EXPECTED)
"""The types that are known here; nothing is refused of any other."""


def fit_class(declared: FieldType, value: Any, place: str, problems: list[Violation]) -> bool:
    """Whether the operand is a JSON value of the type's kind; else a problem is added."""
    if declared.kind not in _EXPECTED:
        return True
    expected, classes = _EXPECTED[declared.kind]
    if value.__class__ in classes:
        return True
    problems.append(Violation(place, f"expected {expected}, got {describe(value)}"))
    return False


def fit_ordered(declared: FieldType, value: Any, place: str, problems: list[Violation]) -> Any:
    """The operand of lt, lte, gt or gte as metadata holds it; what is no value of the type's kind is a problem."""
    if not fit_class(declared, value, place, problems):
        return value
    if declared.kind == "timestamp":
        return _timestamp(value, place, problems)
    if declared.kind == "version":
        return _version(value, place, problems)
    return value


def fit_equal(declared: FieldType, value: Any, place: str, problems: list[Violation]) -> Any:
    """The operand of eq, ne, in or contains as metadata holds it; what no value of the type can equal is a problem."""
    if not fit_class(declared, value, place, problems):
        return value
    match declared.kind:
        case "enum":
            return _enum(declared, value, place, problems)
        case "timestamp":
            return _timestamp(value, place, problems)
        case "version":
            return _version(value, place, problems)
        case "int" if value.__class__ is float and not value.is_integer():
            problems.append(Violation(place, f"expected a whole number, got {describe(value)}"))
        case "array" if declared.items is not None:
            items = declared.items
            return [fit_equal(items, item, f"{place}[{i}]", problems) for i, item in enumerate(value)]
    return value


def _enum(declared: FieldType, value: str, place: str, problems: list[Violation]) -> str:
    if value not in declared.values:
        shown = value if len(value) <= 60 else value[:57] + "..."
        text = f'"{shown}" is not one of {", ".join(declared.values)}{did_you_mean(value, declared.values)}'
        problems.append(Violation(place, text))
    return value


def _timestamp(value: str, place: str, problems: list[Violation]) -> str:
    try:
        return time.to_rfc3339(time.parse_rfc3339(value))
    except (ValueError, OverflowError):
        wanted = 'expected an RFC 3339 timestamp such as "2025-10-09T12:00:00Z"'
        problems.append(Violation(place, f"{wanted}, got {describe(value)}"))
        return value


def _version(value: str, place: str, problems: list[Violation]) -> str:
    if version_key(value) is None:
        wanted = 'expected a version such as "1.10.2" or "2.0.0-rc.1"'
        problems.append(Violation(place, f"{wanted}, got {describe(value)}"))
    return value
