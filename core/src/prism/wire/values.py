"""`Value` messages to and from JSON values (RFC: map<string, Value>, with 64-bit integers)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from prism.model.errors import InvalidArgument, InvalidMetadata, Violation
from prism.model.json import MAX_NESTING, describe
from prism.v1.value_pb2 import NULL_VALUE, Value

_KINDS = "null_value, bool_value, int_value, double_value, string_value, list_value or object_value"
_SCALARS = frozenset({"bool_value", "int_value", "string_value"})


def fill_value(message: Value, value: object) -> None:
    """Writes a JSON value into an empty message.

    `value` is normalised JSON (see `prism.model.json.normalise`). Raises InvalidArgument for anything else.
    """
    kind = value.__class__
    if kind is str:
        message.string_value = value  # type: ignore[assignment]
    elif kind is bool:
        message.bool_value = value  # type: ignore[assignment]
    elif kind is int:
        message.int_value = value  # type: ignore[assignment]
    elif kind is float:
        message.double_value = value  # type: ignore[assignment]
    elif value is None:
        message.null_value = NULL_VALUE
    elif isinstance(value, Mapping):
        message.object_value.SetInParent()
        fill_fields(message.object_value.fields, value)
    elif isinstance(value, (list, tuple)):
        message.list_value.SetInParent()
        add = message.list_value.values.add
        for item in value:
            fill_value(add(), item)
    else:
        raise InvalidArgument(f"expected a JSON value, got {describe(value)}")


def to_value(value: object) -> Value:
    """The message for a normalised JSON value."""
    message = Value()
    fill_value(message, value)
    return message


def fill_fields(fields: Any, document: Mapping[str, Any]) -> None:
    """Writes a JSON object into a `map<string, Value>` field."""
    for key, value in document.items():
        fill_value(fields[key], value)


def from_value(message: Value, place: str, problems: list[Violation]) -> Any:
    """The JSON value of a message; what is malformed is added to `problems` with its place.

    A value with no kind set, NaN and infinities, and nesting deeper than MAX_NESTING are malformed.
    """
    return _read(message, place, problems, 0)


def document_from_fields(fields: Mapping[str, Value], place: str = "metadata") -> dict[str, Any]:
    """The JSON object in a `map<string, Value>` field. Raises InvalidMetadata with every malformed place."""
    problems: list[Violation] = []
    document = {key: _read(value, f"{place}.{key}", problems, 1) for key, value in fields.items()}
    if problems:
        raise InvalidMetadata.of(problems)
    return document


def _read(message: Value, place: str, problems: list[Violation], depth: int) -> Any:
    kind = message.WhichOneof("kind")
    if kind in _SCALARS:
        return getattr(message, kind)
    if kind == "double_value":
        return _finite(message.double_value, place, problems)
    if kind == "null_value":
        return _null(message.null_value, place, problems)
    if kind is None:
        problems.append(Violation(place, f"the Value has no kind set; set one of {_KINDS}"))
        return None
    if depth >= MAX_NESTING:
        problems.append(Violation(place, f"nested deeper than {MAX_NESTING} levels"))
        return None
    if kind == "list_value":
        items = message.list_value.values
        return [_read(item, f"{place}[{i}]", problems, depth + 1) for i, item in enumerate(items)]
    fields = message.object_value.fields
    return {key: _read(value, f"{place}.{key}", problems, depth + 1) for key, value in fields.items()}


def _finite(number: float, place: str, problems: list[Violation]) -> float:
    if not math.isfinite(number):
        problems.append(Violation(place, f"{number} is not a JSON number; leave the field out instead"))
    return number


def _null(number: int, place: str, problems: list[Violation]) -> None:
    if number != NULL_VALUE:
        problems.append(Violation(place, f"null_value is {number}; the only value is NULL_VALUE (0)"))
