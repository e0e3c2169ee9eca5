"""The right-hand side of a clause: scalars, lists, and places on the globe."""

from __future__ import annotations

import re
from typing import Any

from prism.cli.where.scan import Scanner

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_DISTANCE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)
METRES = {"m": 1.0, "km": 1_000.0, "mi": 1_609.344, "nmi": 1_852.0}
"""Metres in each unit of distance."""


def scalar(word: str) -> bool | int | float | str | None:
    """What an unquoted word means: a number, true, false, null (None), or else the text itself.

    Raises ValueError on an integer of thousands of digits.
    """
    if word in ("true", "false"):
        return word == "true"
    if word == "null":
        return None
    if _NUMBER.fullmatch(word):
        return float(word) if any(mark in word for mark in ".eE") else int(word)
    return word


def read_value(scanner: Scanner, *, text_only: bool = False) -> Any:
    """A quoted string, a JSON array or object, or a bare value up to the end.

    With `text_only` a bare value is text whatever it looks like. Raises WhereError.
    """
    first = _first(scanner)
    if first in "\"'":
        value = scanner.take_quoted()
        scanner.expect_end("the closing quote")
        return value
    if first in "[{" and not text_only:
        value = scanner.take_json()
        scanner.expect_end("the JSON value")
        return value
    start = scanner.position
    word = scanner.rest.rstrip()
    scanner.position = len(scanner.text)
    return word if text_only else _bare(scanner, word, start)


def read_list(scanner: Scanner, *, text_only: bool = False) -> list[Any]:
    """Values separated by commas, each bare or quoted; or a JSON array. Raises WhereError."""
    if _first(scanner) == "[":
        value = scanner.take_json()
        scanner.expect_end("the list")
        return list(value)
    items: list[Any] = []
    while True:
        items.append(_read_item(scanner, text_only))
        scanner.skip_space()
        if scanner.done:
            return items
        if scanner.take_any([","]) is None:
            scanner.fail("expected a comma between the values")


def read_near(scanner: Scanner) -> Any:
    """`LAT,LON,RADIUS` with a unit (`48.1,11.5,200km`), or the RFC's object. Raises WhereError."""
    if _first(scanner) == "{":
        return _read_object(scanner)
    shape = "LAT,LON,RADIUS such as 48.1,11.5,200km"
    lat, lon, (radius, at) = _parts(scanner, 3, shape)
    match = _DISTANCE.fullmatch(radius)
    units = ", ".join(METRES)
    if match is None:
        scanner.fail(f'expected a distance with a unit ({units}), got "{radius}"', at)
    unit = match[2]
    if unit not in METRES:
        problem = f'unknown unit "{unit}"' if unit else "the distance has no unit"
        scanner.fail(f"{problem}; write one of {units}, such as {match[1]}km", at + match.start(2))
    return {"lat": _degrees(scanner, *lat), "lon": _degrees(scanner, *lon), "radius_m": float(match[1]) * METRES[unit]}


def read_within(scanner: Scanner) -> Any:
    """`SOUTH,WEST,NORTH,EAST` in degrees, or the RFC's object. Raises WhereError."""
    if _first(scanner) == "{":
        return _read_object(scanner)
    edges = _parts(scanner, 4, "SOUTH,WEST,NORTH,EAST in degrees, such as 45.8,5.9,47.9,10.6")
    names = ("south", "west", "north", "east")
    return {name: _degrees(scanner, *edge) for name, edge in zip(names, edges, strict=True)}


def _first(scanner: Scanner) -> str:
    scanner.skip_space()
    if scanner.done:
        scanner.fail('expected a value; write "" for the empty text')
    return scanner.text[scanner.position]


def _read_item(scanner: Scanner, text_only: bool) -> Any:
    if _first(scanner) in "\"'":
        return scanner.take_quoted()
    start = scanner.position
    end = scanner.text.find(",", start)
    scanner.position = len(scanner.text) if end < 0 else end
    word = scanner.text[start : scanner.position].rstrip()
    if not word:
        scanner.fail("expected a value between the commas", start)
    return word if text_only else _bare(scanner, word, start)


def _bare(scanner: Scanner, word: str, at: int) -> bool | int | float | str:
    try:
        value = scalar(word)
    except ValueError as error:
        scanner.fail(f"not a number: {error}", at)
    if value is None:
        scanner.fail('null is no value to compare with; write "!FIELD" for no value, or quote the text "null"', at)
    return value


def _read_object(scanner: Scanner) -> Any:
    value = scanner.take_json()
    scanner.expect_end("the object")
    return value


def _parts(scanner: Scanner, count: int, shape: str) -> list[tuple[str, int]]:
    """The comma-separated parts of what is left, each with its position."""
    start = scanner.position
    parts: list[tuple[str, int]] = []
    for piece in scanner.rest.split(","):
        parts.append((piece.strip(), start + len(piece) - len(piece.lstrip())))
        start += len(piece) + 1
    if len(parts) != count:
        scanner.fail(f"expected {shape}, got {len(parts)} parts")
    scanner.position = len(scanner.text)
    return parts


def _degrees(scanner: Scanner, word: str, at: int) -> float:
    if not _NUMBER.fullmatch(word):
        scanner.fail(f'expected degrees, got "{word}"', at)
    return float(word)
