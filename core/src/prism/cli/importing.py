"""`prism import`: identities from a file, streamed and registered in batches."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, BinaryIO

import typer
from rich.text import Text

from prism.cli.connection import with_client
from prism.cli.durations import whole_seconds
from prism.cli.exits import ExitCode
from prism.cli.failures import print_problem
from prism.cli.meter import Meter
from prism.cli.options import Address, Namespace
from prism.cli.records import BadLine, Format, HeaderError, Record, format_of, read_csv, read_jsonl
from prism.cli.screen import counted, stderr, stdout
from prism.cli.storing import Lines, Terms, batches, store
from prism.model.operations import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from rich.console import Console

    from prism import Client

SHOWN = 20
"""Lines that are reported one by one; the rest are counted."""


class OnError(StrEnum):
    """What a bad line does."""

    SKIP = "skip"
    """It is reported, and the import goes on."""
    FAIL = "fail"
    """It is reported, and the import stops after its batch."""


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON lines or CSV; - is standard input.")],
    format_: Annotated[Format | None, typer.Option("--format", help="Default: by the file's name, else jsonl.")] = None,
    id_field: Annotated[
        str | None, typer.Option(metavar="FIELD", help="The field that is the identity; it stays in the metadata too.")
    ] = None,
    ttl: Annotated[
        int | None,
        typer.Option(
            parser=whole_seconds,
            metavar="DURATION",
            help="Time to live: 30s, 5m, 1h, 7d; 0 is never. Default: what the line has left, else the namespace's.",
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take over registrations that exist.")] = False,
    on_error: Annotated[OnError, typer.Option(help="What a bad line does.")] = OnError.FAIL,
    namespace: Namespace = DEFAULT_NAMESPACE,
    address: Address = None,
) -> None:
    """Register the identities of a file.

    A line is what `prism export` writes, or any object (or CSV row) with an `identity`, the rest of which is its
    metadata. An exported identity keeps the time to live that it has left, by this machine's clock, unless --ttl
    gives another; a line that has expired is reported and skipped.

    A bad line is reported by its number. With `--on-error fail` it ends the import with 2 (1 where the line is
    fine and the registry refuses it); what was registered until then stays.
    """
    console = stderr()
    terms = Terms(ttl, replace)
    progress = _Progress(console)

    async def register(client: Client) -> None:
        with _opened(file, format_of(file, format_), id_field) as lines, progress.meter:
            for batch in batches(lines):
                bad = [line for line in batch if isinstance(line, BadLine)]
                good = [line for line in batch if isinstance(line, Record)]
                if bad and on_error is OnError.FAIL:
                    good = [record for record in good if record.line < bad[0].line]
                stored = await store(client, good, terms)
                progress.add(stored.registered, [*bad, *stored.bad], stored.expired)
                if progress.bad and on_error is OnError.FAIL:
                    return

    with_client(namespace, address, register)
    stdout().print(f"registered {progress.meter.summary()}")
    if progress.expired:
        console.print(f"skipped {counted(progress.expired, 'expired line', 'expired lines')}", style="yellow")
    if progress.bad and on_error is OnError.FAIL:
        print_problem(console, *progress.stopped())
        raise typer.Exit(progress.code)
    if progress.bad:
        console.print(f"skipped {counted(progress.bad, 'bad line', 'bad lines')}", style="yellow")


class _Progress:
    """What went in so far, and what didn't. `code` is the exit code of the first bad line."""

    def __init__(self, console: Console) -> None:
        self.meter = Meter(console, "importing")
        self.bad = 0
        self.expired = 0
        self.code = ExitCode.OK
        self._first = 0
        self._taken = 0
        self._console = console

    def add(self, registered: int, bad: list[BadLine], expired: list[BadLine]) -> None:
        """One batch more."""
        self.meter.advance(registered)
        bad = sorted(bad, key=lambda line: line.line)
        if bad and not self.bad:
            self.code, self._first = bad[0].code, bad[0].line
        self._taken += sum(line.taken for line in bad)
        self.bad += self._show(bad, self.bad, "bad", "red")
        self.expired += self._show(expired, self.expired, "expired", "yellow")

    def stopped(self) -> tuple[str, str]:
        """What to say where bad lines end it, and what to try."""
        others = f"; {self.bad - 1:,} more of the lines sent with it are bad" if self.bad > 1 else ""
        fixes = ["--on-error skip goes on past bad lines"]
        if self._taken:
            fixes.insert(0, "--replace takes over what is registered already")
        return f"stopped at line {self._first}, which is bad{others}", ", ".join(fixes)

    def _show(self, lines: list[BadLine], before: int, kind: str, style: str) -> int:
        for number, line in enumerate(lines, before):
            if number < SHOWN:
                self._console.print(Text(str(line), style=style), soft_wrap=True)
            elif number == SHOWN:
                self._console.print(f"more {kind} lines are counted, not shown", style=style)
        return len(lines)


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
    except HeaderError as error:
        raise typer.BadParameter(f"{path}: {error}") from error


@contextmanager
def _decoded(file: BinaryIO) -> Iterator[IO[str]]:
    """The file as text; whoever opened it closes it."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield text
    finally:
        text.detach()
