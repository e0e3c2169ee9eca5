"""Enumerating airports: by country, elevation and distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from prism.cli.columns import read_columns, row
from prism.cli.demo.airports import HOME, NAMESPACE, Airport, distance, select
from prism.cli.demo.checks import Checks
from prism.cli.screen import table
from prism.cli.where import parse_where

if TYPE_CHECKING:
    from prism import Client

ROWS = 5
"""Rows shown of each answer."""

COLUMNS = "$identity,name,city,country,elevation"


@dataclass(frozen=True, slots=True)
class Question:
    """One filter as it is typed, and the same in plain Python."""

    where: str
    sort: str
    matches: Callable[[Airport], bool]


def questions(airports: dict[str, Airport]) -> list[Question]:
    """What the demo asks."""
    home = airports[HOME]
    here = f"{home['location']['lat']},{home['location']['lon']}"
    return [
        Question("country=CH", "elevation desc", lambda airport: airport["country"] == "CH"),
        Question("elevation>12000", "elevation desc", lambda airport: airport["elevation"] > 12_000),
        Question(f"location near {here},50km", "name", lambda airport: distance(home, airport) <= 50_000),
    ]


async def ask(
    client: Client, question: Question, airports: dict[str, Airport], checks: Checks, console: Console
) -> None:
    """Asks, checks the whole answer, shows the beginning of it."""
    command = f"prism ls -n {NAMESPACE} --where '{question.where}' --sort '{question.sort}'"
    found = await client.registry.enumerate(parse_where(question.where), sort_by=[question.sort])
    expected = select(airports, question.matches)
    checks.equal(f"who matches {question.where}", {identity.identity for identity in found}, expected)
    checks.equal(f"nobody is listed twice for {question.where}", len(found), len(expected))
    if question.sort == "elevation desc":
        heights = [identity.metadata["elevation"] for identity in found]
        checks.equal(f"the order of {question.where}", heights, sorted(heights, reverse=True))
    columns = read_columns(COLUMNS)
    listing = table(*(name.removeprefix("$") for name in columns))
    for identity in found[:ROWS]:
        listing.add_row(*row(identity, columns))
    console.print(command, style="bold")
    console.print(listing)
    console.print(f"{len(found):,} in all\n", style="dim")
