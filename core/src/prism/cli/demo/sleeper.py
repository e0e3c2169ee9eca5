"""A device that sleeps: an at-least-once message waits for it, and is there when it returns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from prism.cli.demo.checks import Checks
from prism.cli.demo.sending import PATIENCE
from prism.cli.receipts import STYLES
from prism.cli.screen import table
from prism.cli.where import parse_where
from prism.model.delivery import DeliveryStatus, Status
from prism.model.message import DeliverySemantics

if TYPE_CHECKING:
    from prism import Client, Inbox

DEVICE = "WEATHER-STATION"
TEXTS = ("firmware 7", "firmware 8")

_METADATA = {
    "name": "A weather station on battery",
    "country": "CH",
    "location": {"lat": 46.55, "lon": 7.98},
    "elevation": 11_716,
}


async def show_sleeper(sender: Client, device: Client, checks: Checks, console: Console) -> None:
    """Attaches the device, lets it sleep, sends, wakes it, sends again, and looks what it received."""
    async with device.registry.attach(DEVICE, _METADATA, ttl=600, keep=True):
        pass
    asleep = await _send(sender, TEXTS[0], 0.1)
    checks.equal("the status of an at-least-once message for a device that sleeps", asleep.status, Status.PENDING)

    received: list[object] = []
    async with device.registry.attach(DEVICE) as inbox, asyncio.TaskGroup() as group:
        async with checks.within(PATIENCE, "that the device gets its message when it returns"):
            await _take(inbox, received)
        taking = group.create_task(_take(inbox, received))
        awake = await _send(sender, TEXTS[1], PATIENCE)
        checks.equal("the status once the device is awake and acknowledges", awake.status, Status.DELIVERED)
        await taking
    checks.equal("what the device received, in order", received, list(TEXTS))

    console.print(f"{DEVICE} leaves without unregistering, as a device that sleeps", style="bold")
    listing = table("at-least-once", "status", "reason")
    for text, moment, receipt in zip(
        TEXTS, ("sent while it sleeps", "sent once it is back"), (asleep, awake), strict=True
    ):
        status = Text(receipt.status.name, style=STYLES[receipt.status])
        listing.add_row(f"{text!r}, {moment}", status, Text(receipt.error or ""))
    console.print(listing)
    console.print(f"when it returned it received {' and '.join(map(repr, received))}\n", style="dim")


async def _send(sender: Client, text: str, timeout: float) -> DeliveryStatus:  # noqa: ASYNC109 - for receipts
    where = parse_where(f"$identity={DEVICE}")
    semantics = DeliverySemantics.AT_LEAST_ONCE
    return (await sender.registry.multicast(where, text, delivery=semantics, timeout=timeout)).statuses[0]


async def _take(inbox: Inbox, received: list[object]) -> None:
    """Takes one message and acknowledges it."""
    message = await inbox.receive()
    received.append(message.content)
    await message.ack()
