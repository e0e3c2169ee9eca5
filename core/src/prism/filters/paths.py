r"""Dotted paths: `location.building`, `metadata.room`, `$identity`, and the operator at a path's end.

A dot inside a key is written `\.`, a backslash `\\`. The prefix `metadata.` is optional; the metadata key that is
itself called "metadata" is `metadata.metadata`, and one that begins with `$` is `metadata.$key`.
"""

from __future__ import annotations

from prism.filters.ast import Field, MetadataField, Op, RecordField
from prism.filters.refusal import invalid_filter
from prism.filters.suggest import did_you_mean
from prism.model.errors import Violation
from prism.model.json import MAX_NESTING, describe

PREFIX = "metadata"
OPERATORS = {op.value: op for op in Op}
"""Every operator by its name."""

LOGICAL = ("$and", "$or", "$not")
_RECORD_FIELDS = {field.value: field for field in RecordField}


class PathError(ValueError):
    """What is wrong with a path, as text without a place."""


def parse_path(text: str, at: str | None = None) -> Field:
    """The field that a path names; an operator's name at its end is a key like any other.

    Raises InvalidFilter at the place `at` (the path itself unless given).
    """
    try:
        return read_path(text)
    except PathError as error:
        raise invalid_filter([Violation(str(text) if at is None else at, str(error))]) from None


def split_operator(key: str, at: str | None = None) -> tuple[Field, Op | None]:
    """Splits `battery_level.lt` into field and operator; None when there is no operator at the end.

    A path that is nothing but an operator's name is a field: `{"type": "sensor"}`. Raises InvalidFilter.
    """
    try:
        return read_key(key)
    except PathError as error:
        raise invalid_filter([Violation(str(key) if at is None else at, str(error))]) from None


def format_path(field: Field) -> str:
    """The text that `parse_path` reads as this field."""
    if isinstance(field, RecordField):
        return field.value
    first = field.keys[0]
    keys = (PREFIX, *field.keys) if first == PREFIX or first.startswith("$") else field.keys
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in keys)


def format_key(field: Field, op: Op) -> str:
    """The text that `split_operator` reads as this field and operator."""
    return f"{format_path(field)}.{op}"


def read_path(text: str) -> Field:
    """Like `parse_path`, but raises PathError."""
    return _field(_segments(text))


def read_key(text: str) -> tuple[Field, Op | None]:
    """Like `split_operator`, but raises PathError."""
    segments = _segments(text)
    prefixed = segments[0] == PREFIX and len(segments) > 1
    own = segments[1:] if prefixed else segments
    last = own[-1]
    if len(own) == 1:
        return _field(segments), None
    if last in OPERATORS:
        return _field(segments[:-1]), OPERATORS[last]
    if last[:1] == "$" and last[1:] in OPERATORS:
        plain = text[: -len(last)]
        raise PathError(f'operators have no $: write "{plain}{last[1:]}" (for a key called "{last}", "{text}.eq")')
    return _field(segments), None


def _segments(text: str) -> list[str]:
    """The unescaped keys of a path, none empty."""
    if text.__class__ is not str:
        raise PathError(f"a path is a string, got {describe(text)}")
    if not text.isascii():
        _refuse_surrogates(text)
    segments = text.split(".") if "\\" not in text else _unescape(text)
    if not all(segments):
        raise PathError("has an empty key; a path is keys separated by single dots" if text else "is an empty path")
    return segments


def _unescape(text: str) -> list[str]:
    segments, current = [], ""
    characters = iter(text)
    for character in characters:
        if character == ".":
            segments.append(current)
            current = ""
        elif character == "\\":
            escaped = next(characters, "")
            if escaped not in (".", "\\"):
                raise PathError(r"a backslash can only escape a dot (\.) or a backslash (\\)")
            current += escaped
        else:
            current += character
    return [*segments, current]


def _field(segments: list[str]) -> Field:
    first = segments[0]
    if first.startswith("$"):
        return _record_field(segments)
    if first == PREFIX:
        segments = segments[1:]
        if not segments:
            raise PathError('names no field; write "metadata.FIELD" ("metadata.metadata" for a field of that name)')
    if len(segments) > MAX_NESTING:
        raise PathError(f"has {len(segments)} keys; metadata nests at most {MAX_NESTING} levels deep")
    return MetadataField(tuple(segments))


def _record_field(segments: list[str]) -> RecordField:
    first = segments[0]
    field = _RECORD_FIELDS.get(first)
    if field is None:
        hint = did_you_mean(first, [*LOGICAL, *_RECORD_FIELDS])
        known = ", ".join([*LOGICAL, *_RECORD_FIELDS])
        raise PathError(f'unknown "{first}"{hint} (known: {known}; a metadata field of that name: "metadata.{first}")')
    if len(segments) > 1:
        rest = segments[1]
        hint = did_you_mean(rest, OPERATORS)
        raise PathError(f'{first} has no fields inside, and "{rest}" is no operator{hint}')
    return field


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PathError("holds a lone surrogate, which is not valid Unicode") from None
