"""Where output goes: a terminal with colours, or a pipe with plain text 100 columns wide and a line for each row."""

from __future__ import annotations

import json
import sys
from typing import IO, Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 100
"""Columns of text that isn't written to a terminal, so that output doesn't depend on who reads it."""
_ENDLESS = 10_000_000
"""Columns of a table that isn't written to a terminal: no row is broken over lines, for tools that read them."""


def stdout() -> Console:
    """The console for results. NO_COLOR is honoured; without a terminal there are no escape codes at all."""
    return _console(sys.stdout)


def stderr() -> Console:
    """The console for errors and progress, so that results can be piped on."""
    return _console(sys.stderr)


def print_table(console: Console, listing: Table) -> None:
    """Writes a table: as it fits a terminal, and elsewhere one line for each row."""
    if console.is_terminal:
        console.print(listing)
        return
    endless = _console(console.file, _ENDLESS)
    with endless.capture() as captured:
        endless.print(listing)
    lines = captured.get().removesuffix("\n").split("\n")
    console.file.write("".join(line.rstrip() + "\n" for line in lines))


def _console(stream: IO[str], piped_width: int = PIPED_WIDTH) -> Console:
    terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=terminal,
        width=None if terminal else piped_width,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )


def print_json(value: Any) -> None:
    """Writes one JSON document to standard output: indented for a terminal, on one line for a pipe."""
    option = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
    sys.stdout.write(orjson.dumps(value, option=option, default=str).decode() + "\n")


def print_json_line(value: Any) -> None:
    """Writes one line of JSON and hands it on at once, for output that is followed as it comes."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()


def table(*columns: str) -> Table:
    """An empty table in the look of all of them; a column whose name begins with `#` is right-aligned."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        if column.startswith("#"):
            made.add_column(column[1:], justify="right", no_wrap=True)
        else:
            made.add_column(column, overflow="fold")
    return made


def cell(value: object) -> Text:
    """A metadata value in a table: text as it is (never as markup), the rest as JSON, nothing for no value.

    The JSON has spaces, at which a narrow table can break it.

    Control characters are shown escaped: metadata is other people's text and must not steer the terminal.
    """
    if value is None:
        return Text("")
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return Text(printable(text))


def counted(count: int, one: str, many: str) -> str:
    """A number with its noun: `1 identity`, `2,000 identities`."""
    return f"{count:,} {one if count == 1 else many}"


def printable(text: str) -> str:
    """The text with its control characters escaped, so that it can't move the cursor or change colours."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()
