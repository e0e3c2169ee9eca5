"""Identities in files: JSON lines and CSV, read line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import orjson

from prism.cli.pairs import put
from prism.cli.where.scan import Scanner, WhereError
from prism.cli.where.values import scalar
from prism.filters.ast import MetadataField
from prism.filters.paths import PathError, format_path, read_path

IDENTITY = "identity"


class Format(StrEnum):
    """How a file is written."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a file: an identity and its metadata."""

    line: int
    identity: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that can't be used, and why."""

    line: int
    problem: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.problem}"


def format_of(path: str, chosen: Format | None) -> Format:
    """The format that was chosen, else the one of the file's name, else JSON lines."""
    return chosen or (Format.CSV if Path(path).suffix.lower() == ".csv" else Format.JSONL)


def read_jsonl(file: IO[bytes], id_field: str | None) -> Iterator[Record | BadLine]:
    """Reads one JSON object a line; empty lines are skipped.

    Without `id_field` a line is what `prism export` writes (`identity` and `metadata`), or a flat object with
    `identity`, the rest of which is the metadata. With it, the whole object is the metadata and that field of
    it the identity.
    """
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            document = orjson.loads(line)
        except ValueError as error:
            yield BadLine(number, f"not JSON: {error}")
            continue
        if isinstance(document, dict):
            yield _record(number, document, id_field)
        else:
            yield BadLine(number, "expected a JSON object")


def read_csv(file: IO[str], id_field: str | None) -> Iterator[Record | BadLine]:
    """Reads rows under a header. Dotted columns nest, empty cells are left out.

    A cell that reads as a number, true or false is one, and so is a JSON array, since CSV itself knows text
    alone. JSON lines keep every type.
    """
    rows = csv.reader(file, strict=True)
    header: list[tuple[str, ...]] | None = None
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
            try:
                header = _header(row)
            except PathError as error:
                yield BadLine(number, f"the header: {error}")
                return
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
    if isinstance(inner, dict):
        return Record(number, identity, inner)
    return Record(number, identity, {key: value for key, value in document.items() if key != IDENTITY})


def _csv_record(number: int, header: list[tuple[str, ...]], row: list[str], id_field: str | None) -> Record | BadLine:
    document: dict[str, Any] = {}
    identity = ""
    own = _column(id_field or IDENTITY)
    for keys, text in zip(header, row, strict=True):
        if keys == own:
            identity = text
            if id_field is None:
                continue
        if not text:
            continue
        try:
            put(document, keys, text if keys == own else _value(text), Scanner(text, "the header"))
        except (WhereError, ValueError) as error:
            return BadLine(number, f"{'.'.join(keys)}: {error}")
    if not identity:
        return BadLine(number, f'no text in the column "{id_field or IDENTITY}"')
    return Record(number, identity, document)


def _header(row: list[str]) -> list[tuple[str, ...]]:
    columns = [_column(name) for name in row]
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise PathError(f'the column "{row[i]}" is there twice')
    return columns


def _column(name: str) -> tuple[str, ...]:
    field = read_path(name)
    if not isinstance(field, MetadataField):
        raise PathError(f'"{name}" is kept by the registry and can\'t be imported')
    return field.keys


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
