"""JSON as Prism means it: what metadata and filter operands may hold, and how it becomes bytes.

Integers are 64-bit signed, floats are finite, keys are strings, text is valid Unicode. `encode` copies:
whoever changes a mapping after handing it over changes nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

import orjson

from prism.model import time
from prism.model.errors import Violation

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Document: TypeAlias = dict[str, Any]
"""A decoded metadata object. Read-only by agreement once it is stored."""

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
MAX_NESTING = 32
"""How deep arrays and objects may nest."""


def normalise(value: object, place: str, problems: list[Violation], depth: int = 0) -> Any:
    """Returns a copy of `value` made only of JSON types; what can't be is added to `problems`.

    Mappings become dicts, lists and tuples become lists, aware datetimes become RFC 3339 text.
    """
    kind = value.__class__
    if kind is str:
        return _text(value, place, problems)  # type: ignore[arg-type]
    if kind is bool or value is None:
        return value
    if kind is int:
        if not INT64_MIN <= value <= INT64_MAX:  # type: ignore[operator]
            problems.append(Violation(place, f"{describe(value)} does not fit a 64-bit signed integer"))
        return value
    if kind is float:
        if not math.isfinite(value):  # type: ignore[arg-type]
            problems.append(Violation(place, f"{value} is not a JSON number; leave the field out instead"))
        return value
    if depth >= MAX_NESTING:
        problems.append(Violation(place, f"nested deeper than {MAX_NESTING} levels"))
        return None
    if isinstance(value, Mapping):
        return _object(value, place, problems, depth)
    if isinstance(value, (list, tuple)):
        return [normalise(item, f"{place}[{i}]", problems, depth + 1) for i, item in enumerate(value)]
    if isinstance(value, datetime):
        return _datetime(value, place, problems)
    if isinstance(value, (str, int, float)):  # enums and other subclasses stand for their plain value
        plain: type = str if isinstance(value, str) else int if isinstance(value, int) else float
        return normalise(plain(value), place, problems, depth)
    problems.append(Violation(place, f"expected a JSON value, got {describe(value)}"))
    return None


def _text(value: str, place: str, problems: list[Violation]) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            problems.append(Violation(place, "text holds a lone surrogate, which is not valid Unicode"))
    return value


def _object(value: Mapping[Any, Any], place: str, problems: list[Violation], depth: int) -> Document:
    copy: Document = {}
    for key, item in value.items():
        if not isinstance(key, str):
            problems.append(Violation(place, f"keys must be strings, got {describe(key)}"))
            continue
        inner = f"{place}.{key}" if place else key
        _text(key, inner, problems)
        copy[key] = normalise(item, inner, problems, depth + 1)
    return copy


def _datetime(value: datetime, place: str, problems: list[Violation]) -> str | None:
    if value.tzinfo is None:
        problems.append(Violation(place, "a datetime needs a time zone, e.g. datetime.now(timezone.utc)"))
        return None
    return time.to_rfc3339(time.from_datetime(value))


def encode(document: object) -> bytes:
    """The canonical bytes of a normalised value (compact, UTF-8, keys in their given order)."""
    # A copy: what orjson returns keeps the buffer it was written into, kilobytes for a short text.
    return memoryview(orjson.dumps(document)).tobytes()


def decode(data: bytes) -> Any:
    """The value that `encode` wrote. Raises ValueError on anything that isn't JSON."""
    return orjson.loads(data)


def describe(value: object) -> str:
    """Says what a wrong value is, for messages: `the string "low"`, `null`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, str):
        shown = value if len(value) <= 60 else value[:57] + "..."
        return f'the string "{shown}"'
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    name = type(value).__name__
    if name == "object":
        return "an instance of object"
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"
