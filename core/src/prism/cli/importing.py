"""`prism import`: identities from a file, streamed and registered in batches."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, BinaryIO, TypeAlias

import typer
from rich.text import Text

from prism.cli.connection import with_client
from prism.cli.exits import ExitCode
from prism.cli.failures import print_problem
from prism.cli.meter import Meter
from prism.cli.options import Address, Namespace, Ttl
from prism.cli.records import BadLine, Format, Record, format_of, read_csv, read_jsonl
from prism.cli.screen import printable, stderr, stdout
from prism.model.errors import PrismError
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from rich.console import Console

    from prism import Client

BATCH = 2_000
"""Lines in one request."""

SHOWN = 20
"""Bad lines that are shown one by one; the rest are counted."""

Lines: TypeAlias = "Iterator[Record | BadLine]"


class OnError(StrEnum):
    """What a bad line does."""

    SKIP = "skip"
    """It is reported, and the import goes on."""
    FAIL = "fail"
    """It is reported, and the import stops after its batch."""


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines or CSV; - is standard input.")],
    format_: Annotated[Format | None, typer.Option("--format", help="Default: by the file's name, else jsonl.")] = None,
    id_field: Annotated[
        str | None, typer.Option(metavar="FIELD", help="The field that is the identity; it stays in the metadata too.")
    ] = None,
    ttl: Ttl = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take over registrations that exist.")] = False,
    on_error: Annotated[OnError, typer.Option(help="What a bad line does.")] = OnError.FAIL,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Register the identities of a file.

    A line is what `prism export` writes, or any object (or CSV row) with an `identity`, the rest of which is its
    metadata. A bad line is reported by its number. With `--on-error fail` it ends the import with 1; what was
    registered until then stays.
    """
    console = stderr()
    progress = _Progress(console)

    async def register(client: Client) -> None:
        with _opened(file, format_of(file, format_), id_field) as lines, progress.meter:
            while batch := list(islice(lines, BATCH)):
                good = [line for line in batch if isinstance(line, Record)]
                bad = [line for line in batch if isinstance(line, BadLine)]
                if bad and on_error is OnError.FAIL:
                    good = [record for record in good if record.line < bad[0].line]
                items = [(record.identity, record.metadata) for record in good]
                outcomes = await client.registry.register_many(items, ttl=ttl, replace=replace)
                refused = [
                    BadLine(record.line, f"{printable(record.identity)}: {printable(outcome.message)}")
                    for record, outcome in zip(good, outcomes, strict=True)
                    if isinstance(outcome, PrismError)
                ]
                progress.add(len(good) - len(refused), sorted([*bad, *refused], key=lambda line: line.line))
                if progress.bad and on_error is OnError.FAIL:
                    return

    with_client(namespace, address, register)
    stdout().print(f"registered {progress.meter.summary()}")
    if not progress.bad:
        return
    if on_error is OnError.FAIL:
        print_problem(console, "stopped at a bad line", "--on-error skip goes on past bad lines")
        raise typer.Exit(ExitCode.FAILED)
    console.print(f"skipped {progress.bad:,} bad lines", style="yellow")


class _Progress:
    """What went in so far, and what didn't."""

    def __init__(self, console: Console) -> None:
        self.meter = Meter(console, "importing")
        self.bad = 0
        self._console = console

    def add(self, registered: int, bad: list[BadLine]) -> None:
        """One batch more."""
        self.meter.advance(registered)
        for line in bad:
            self.bad += 1
            if self.bad <= SHOWN:
                self._console.print(Text(str(line), style="red"), soft_wrap=True)
            elif self.bad == SHOWN + 1:
                self._console.print("more bad lines are counted, not shown", style="red")


@contextmanager
def _opened(path: str, format_: Format, id_field: str | None) -> Iterator[Lines]:
    """The lines of a file or of standard input. Raises typer.BadParameter where it can't be read."""
    try:
        opened = nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb")  # noqa: SIM115 - entered below
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror or error}") from error
    try:
        with opened as file:
            if format_ is Format.JSONL:
                yield read_jsonl(file, id_field)
            else:
                with _decoded(file) as text:
                    yield read_csv(text, id_field)
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path}: not UTF-8: {error}") from error


@contextmanager
def _decoded(file: BinaryIO) -> Iterator[IO[str]]:
    """The file as text; whoever opened it closes it."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield text
    finally:
        text.detach()
