"""Metadata as it is typed: `room=engineering battery=0.4 location.building=HQ`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prism.cli.where.scan import Scanner
from prism.cli.where.values import read_value
from prism.filters.ast import RecordField
from prism.filters.paths import PathError, read_path

_SOURCE = "key=value"


def read_pairs(texts: Iterable[str]) -> dict[str, Any]:
    r"""Builds a JSON object from pairs. Dots in a key nest (`\.` is a dot in the key itself).

    A value that reads as a number, true, false or null is one; quoted ones are text; `[...]` and `{...}` are
    JSON. Raises WhereError, which points at the character.
    """
    document: dict[str, Any] = {}
    for text in texts:
        scanner = Scanner(text, _SOURCE)
        key, sign, _ = text.partition("=")
        if not sign:
            scanner.fail('expected KEY=VALUE, but there is no "="', len(text))
        keys = _keys(scanner, key.strip())
        scanner.position = len(key) + 1
        value = None if scanner.rest.strip() == "null" else read_value(scanner)
        put(document, keys, value, scanner)
    return document


def put(document: dict[str, Any], keys: tuple[str, ...], value: Any, scanner: Scanner) -> None:
    """Sets a place in nested objects; fails where something else is there already."""
    inner = document
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            scanner.fail(f'"{key}" has a value already and can\'t be an object too', 0)
    if keys[-1] in inner:
        scanner.fail(f'"{".".join(keys)}" is given twice', 0)
    inner[keys[-1]] = value


def _keys(scanner: Scanner, key: str) -> tuple[str, ...]:
    try:
        field = read_path(key)
    except PathError as error:
        scanner.fail(str(error), 0)
    if isinstance(field, RecordField):
        scanner.fail(f"{field} is kept by the registry and can't be set", 0)
    return field.keys
