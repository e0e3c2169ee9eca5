"""Multicasting to airports near Zurich, of which only some are attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from prism.cli.demo.airports import HOME, LIVE, NAMESPACE, Airport, distance, select
from prism.cli.demo.audience import Heard
from prism.cli.demo.checks import Checks
from prism.cli.receipts import receipt_table, summary
from prism.cli.where import parse_where
from prism.model.delivery import MulticastResult, Status
from prism.model.message import new_message_id

if TYPE_CHECKING:
    from prism import Client

RADIUS = 300_000
"""Metres around Zurich."""

PATIENCE = 10.0
"""Seconds for what should take milliseconds."""


async def send_around_home(
    client: Client, airports: dict[str, Airport], heard: Heard, checks: Checks, console: Console
) -> None:
    """Sends, shows the receipts, and checks them and what every session heard."""
    home = airports[HOME]
    where = f"location near {home['location']['lat']},{home['location']['lon']},300km"
    meant = select(airports, lambda airport: distance(home, airport) <= RADIUS)
    live = select(airports, lambda airport: airport["country"] in LIVE)

    console.print(f"prism send -n {NAMESPACE} --where '{where}' 'snow'", style="bold")
    result = await client.registry.multicast(parse_where(where), "snow", timeout=PATIENCE)
    console.print(receipt_table(result))
    console.print(f"{summary(result)}\n", style="dim")

    checks.equal("how many the multicast was for", result.target_count, len(meant))
    checks.equal("who is reported DELIVERED", with_status(result, Status.DELIVERED), meant & live)
    checks.equal("who is reported FAILED (registered, not attached)", with_status(result, Status.FAILED), meant - live)
    checks.equal("that every other status has a reason", reasons_missing(result), 0)

    await fence(client, heard, live, checks)
    checks.equal("who heard it: each once, nobody else", heard.of(result.message_id), dict.fromkeys(meant & live, 1))


async def fence(client: Client, heard: Heard, live: set[str], checks: Checks) -> None:
    """Sends to every session and waits until all have it: what was sent before has then arrived, or never will.

    Messages of one sender arrive in order, so this is exact where waiting a while would be a guess.
    """
    message_id = new_message_id()
    complete = heard.everybody(message_id, live)
    where = parse_where(f"country in {','.join(LIVE)}")
    result = await client.registry.multicast(where, "fence", message_id=message_id, timeout=PATIENCE)
    checks.equal("that every live session is reported DELIVERED", with_status(result, Status.DELIVERED), live)
    async with checks.within(PATIENCE, "that every live session receives what was sent to it"):
        await complete.wait()
    checks.equal("that every live session heard it once", heard.of(message_id), dict.fromkeys(live, 1))


def with_status(result: MulticastResult, status: Status) -> set[str]:
    """Who has this status."""
    return {receipt.identity for receipt in result.statuses if receipt.status is status}


def reasons_missing(result: MulticastResult) -> int:
    """How many receipts that aren't DELIVERED don't say why."""
    return sum(receipt.status is not Status.DELIVERED and not receipt.error for receipt in result.statuses)
