"""`prism export`: identities into a file that `prism import` reads."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from prism.cli.columns import json_line
from prism.cli.connection import reported, with_client
from prism.cli.durations import rfc3339
from prism.cli.exits import ExitCode
from prism.cli.failures import print_problem
from prism.cli.meter import Meter
from prism.cli.options import Address, FilterJson, Namespace, Where
from prism.cli.records import EXPIRES_AT_COLUMN, IDENTITY, Format, flatten, format_of, promises_another
from prism.cli.screen import printable, stderr
from prism.cli.selection import read_filter
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from prism import Client, Identity
    from prism.filters.ast import Node

PAGE = 2_000
"""Identities read at a time."""


def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - is standard output.")] = "-",
    where: Where = None,
    filter_json: FilterJson = None,
    format_: Annotated[Format | None, typer.Option("--format", help="Default: by the file's name, else jsonl.")] = None,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Write the identities that match to a file.

    As JSON lines or CSV, in the form that `prism import` reads; with it, an identity keeps the time to live that
    it has left.

    JSON lines keep every type. CSV has a column for each place in the metadata, and `$expires_at` where some
    identity expires; it needs two readings, the first for the header. A file appears whole or not at all. What
    can't be written ends it with 1.
    """
    with reported():
        chosen = read_filter(where, filter_json)
    chosen_format = format_of(file, format_)
    if format_ is None and (ending := promises_another(file)):
        note = f"JSON lines go into {printable(file)}: Prism writes them or CSV, and no {printable(ending)}"
        stderr().print(Text(f"{note} (--format says which)"), style="yellow")
    meter = Meter(stderr(), "exporting")
    with _created(file) as stream, meter:
        with_client(namespace, address, lambda client: _write(client, chosen, chosen_format, stream, meter))
    if file != "-":
        stderr().print(f"exported {meter.summary()}")


async def _write(client: Client, chosen: Node, format_: Format, stream: IO[bytes], meter: Meter) -> None:
    if format_ is Format.JSONL:
        async for page in client.registry.enumerate(chosen).pages(PAGE):
            stream.write(b"".join(json_line(identity) + b"\n" for identity in page.identities))
            meter.advance(len(page.identities))
        return
    header = await _header(client, chosen)
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(header)
    async for page in client.registry.enumerate(chosen).pages(PAGE):
        rows.writerows(_row(identity, header) for identity in page.identities)
        meter.advance(len(page.identities))
    text.detach()


async def _header(client: Client, chosen: Node) -> list[str]:
    """Every column that any of the identities has, in the order they are first seen."""
    columns: dict[str, None] = {}
    expires = False
    async for page in client.registry.enumerate(chosen).pages(PAGE):
        for identity in page.identities:
            expires = expires or identity.expires_at is not None
            columns.update((name, None) for name, _ in flatten(identity.metadata) if name != IDENTITY)
    return [IDENTITY, *([EXPIRES_AT_COLUMN] if expires else []), *columns]


def _row(identity: Identity, header: list[str]) -> list[str]:
    cells = dict(flatten(identity.metadata))
    cells[IDENTITY] = identity.identity
    cells[EXPIRES_AT_COLUMN] = rfc3339(identity.expires_at) or ""
    return [cells.get(name, "") for name in header]


@contextmanager
def _created(path: str) -> Iterator[IO[bytes]]:
    """Standard output, or a file that takes its name only once it is complete."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _opened(Path(path)) as stream:
            yield stream
    except OSError as error:
        if error.filename is not None:  # it can't be opened or named so
            raise typer.BadParameter(f"{path}: {error.strerror or error}") from error
        print_problem(stderr(), f"{path} can't be written: {error.strerror or error}")
        raise typer.Exit(ExitCode.FAILED) from error


@contextmanager
def _opened(target: Path) -> Iterator[IO[bytes]]:
    """The file itself where it is a device or a pipe, else one beside it that takes its place in the end."""
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    target = target.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
