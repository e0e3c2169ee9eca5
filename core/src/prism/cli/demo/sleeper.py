"""A device that sleeps: an at-least-once message waits for it, and is there when it returns."""

from __future__ import annotations

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
    from prism import Client

DEVICE = "WEATHER-STATION"
TEXT = "firmware 8"

_METADATA = {
    "name": "A weather station on battery",
    "country": "CH",
    "location": {"lat": 46.55, "lon": 7.98},
    "elevation": 11_716,
}


async def show_sleeper(sender: Client, device: Client, checks: Checks, console: Console) -> None:
    """Attaches the device, lets it sleep, sends, wakes it, and looks what became of the message."""
    async with device.registry.attach(DEVICE, _METADATA, ttl=600, keep=True):
        pass
    result = await sender.registry.multicast(
        parse_where(f"$identity={DEVICE}"), TEXT, delivery=DeliverySemantics.AT_LEAST_ONCE, timeout=0.1
    )
    asleep = result.statuses[0]
    checks.equal("the status of an at-least-once message for a device that sleeps", asleep.status, Status.PENDING)

    async with device.registry.attach(DEVICE) as inbox:
        async with checks.within(PATIENCE, "that the device gets its message when it returns"):
            message = await inbox.receive()
        checks.equal("what the device received", (message.id, message.content), (result.message_id, TEXT))
        await message.ack()
        async with checks.within(PATIENCE, "that the sender learns of the acknowledgement"):
            while (awake := await _status(sender, result.message_id)).status is not Status.DELIVERED:
                continue

    console.print(f"{DEVICE} leaves without unregistering, as a device that sleeps", style="bold")
    listing = table("at-least-once", "status", "reason")
    moments = ("sent while it sleeps", "once it is back and has acknowledged")
    for moment, receipt in zip(moments, (asleep, awake), strict=True):
        listing.add_row(moment, Text(receipt.status.name, style=STYLES[receipt.status]), Text(receipt.error or ""))
    console.print(listing)
    console.print()


async def _status(sender: Client, message_id: str) -> DeliveryStatus:
    return (await sender.registry.get_multicast(message_id)).statuses[0]
