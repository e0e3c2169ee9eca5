"""Identities in files: JSON lines and CSV, read line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import orjson

from prism.cli.exits import ExitCode
from prism.cli.pairs import put
from prism.cli.where.scan import Scanner, WhereError
from prism.cli.where.values import scalar
from prism.filters.ast import Field, MetadataField, RecordField
from prism.filters.paths import PathError, format_path, read_path
from prism.model.json import describe
from prism.model.time import Micros, parse_rfc3339

IDENTITY = "identity"
EXPIRES_AT_COLUMN = RecordField.EXPIRES_AT.value
"""The CSV column that `prism export` writes where something expires."""

NEVER: Micros = 0
"""As `Record.expires_at`: the identity doesn't expire."""


class Format(StrEnum):
    """How a file is written."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a file: an identity, its metadata, and when it expires (None where the line doesn't say)."""

    line: int
    identity: str
    metadata: dict[str, Any]
    expires_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that can't be used, and why."""

    line: int
    problem: str
    code: ExitCode = ExitCode.USAGE
    """What the program ends with where this line stops it."""
    taken: bool = False
    """Whether its identity is registered already, and that is all."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.problem}"


class HeaderError(ValueError):
    """The header of a CSV file can't be used, and so none of its rows can."""


_TOLD = frozenset({"", ".jsonl", ".ndjson", ".json", ".txt", ".csv"})
"""Endings of names that don't promise anything but JSON lines or CSV."""


def promises_another(path: str) -> str:
    """The ending of a file's name where it isn't one for JSON lines or CSV, else ""."""
    ending = Path(path).suffix
    return "" if ending.lower() in _TOLD else ending


def format_of(path: str, chosen: Format | None) -> Format:
    """The format that was chosen, else the one of the file's name, else JSON lines."""
    return chosen or (Format.CSV if Path(path).suffix.lower() == ".csv" else Format.JSONL)


def read_jsonl(file: IO[bytes], id_field: str | None) -> Iterator[Record | BadLine]:
    """Reads one JSON object a line; empty lines are skipped.

    Without `id_field` a line is what `prism export` writes (`identity`, `metadata` and `expires_at`), or a flat
    object with `identity`, the rest of which is the metadata. With it, the whole object is the metadata and that
    field of it the identity.
    """
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield BadLine(number, f"not JSON: {error.msg}, at character {error.colno}")
            continue
        if isinstance(document, dict):
            yield _record(number, document, id_field)
        else:
            yield BadLine(number, "expected a JSON object")


def read_csv(file: IO[str], id_field: str | None) -> Iterator[Record | BadLine]:
    """Reads rows under a header. Dotted columns nest, empty cells are left out; an empty `$expires_at` is never.

    A cell that reads as a number, true or false is one, and so is a JSON array, since CSV itself knows text
    alone. JSON lines keep every type.

    Raises:
        HeaderError: a column can't be one, is there twice, or the one of the identity is missing.
    """
    rows = csv.reader(file, strict=True)
    header: list[Field] | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadLine(rows.line_num, f"not CSV: {error}")
            continue
        number = rows.line_num
        if not row:
            continue
        if header is None:
            header = _header(row, id_field)
        elif len(row) != len(header):
            yield BadLine(number, f"has {len(row)} cells, the header {len(header)}")
        else:
            yield _csv_record(number, header, row, id_field)


def flatten(document: Mapping[str, Any], outer: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The columns and cells of a document: nested objects as dotted paths, arrays as JSON."""
    for key, value in document.items():
        keys = (*outer, key)
        if isinstance(value, dict) and value:
            yield from flatten(value, keys)
        else:
            yield format_path(MetadataField(keys)), _cell(value)


def _record(number: int, document: dict[str, Any], id_field: str | None) -> Record | BadLine:
    """Picks identity and metadata out of one object."""
    field = id_field or IDENTITY
    identity = document.get(field)
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    if not isinstance(identity, str):
        fix = "" if id_field else "; --id-field names the field that is the identity"
        return BadLine(number, f'no text in the field "{field}"{fix}')
    if id_field is not None:
        return Record(number, identity, document)
    inner = document.get("metadata")
    if not isinstance(inner, dict):
        return Record(number, identity, {key: value for key, value in document.items() if key != IDENTITY})
    try:
        return Record(number, identity, inner, _expiry(document["expires_at"]) if "expires_at" in document else None)
    except ValueError as error:
        return BadLine(number, f"expires_at: {error}")


def _csv_record(number: int, header: list[Field], row: list[str], id_field: str | None) -> Record | BadLine:
    document: dict[str, Any] = {}
    identity, expires_at = "", None
    own = _column(id_field or IDENTITY)
    for column, text in zip(header, row, strict=True):
        try:
            if isinstance(column, RecordField):
                expires_at = _expiry(text or None)
                continue
            if column == own:
                identity = text
                if id_field is None:
                    continue
            if text:
                put(document, column.keys, text if column == own else _value(text), Scanner(text, "the header"))
        except (WhereError, ValueError) as error:
            return BadLine(number, f"{format_path(column)}: {error}")
    if not identity:
        return BadLine(number, f'no text in the column "{id_field or IDENTITY}"')
    return Record(number, identity, document, expires_at)


def _expiry(value: object) -> Micros:
    """The moment that an export names; null is never. Raises ValueError."""
    if value is None:
        return NEVER
    if isinstance(value, str):
        return parse_rfc3339(value)
    raise ValueError(f"expected a time such as 2025-10-09T12:00:00Z, or null for never, got {describe(value)}")


def _header(row: list[str], id_field: str | None) -> list[Field]:
    wanted = id_field or IDENTITY
    try:
        columns = [_column(name) for name in row]
        own = _column(wanted)
    except PathError as error:
        raise HeaderError(f"the header: {error}") from error
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise HeaderError(f'the header has the column "{row[i]}" twice')
    if own not in columns or own == RecordField.EXPIRES_AT:
        fix = "" if id_field else "; --id-field names the one that is the identity"
        raise HeaderError(f'the header has no column "{wanted}"; it has {", ".join(row)}{fix}')
    return columns


def _column(name: str) -> Field:
    field = read_path(name)
    if isinstance(field, RecordField) and field is not RecordField.EXPIRES_AT:
        raise PathError(f'"{name}" is kept by the registry and can\'t be imported')
    return field


def _value(text: str) -> Any:
    if text.startswith("["):
        try:
            return orjson.loads(text)
        except ValueError:
            return text
    return scalar(text)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
