"""Short words for what durability tests do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND, Micros
from prism.slots.durability import DurabilityBackend, Enqueued, Gap, Lease, Settled

Advance = Callable[[float], Awaitable[None]]

LONG: Micros = 60 * SECOND
"""A visibility that no test waits for."""
SHORT = 1.0
"""Seconds of a visibility or a time to live that a test waits for."""
BRIEF: Micros = round(SHORT * SECOND)
PAST = 1.1
"""Seconds after which what lasts that long is over."""


def message(name: str, payload: bytes = b"payload") -> Message:
    """A message with the given id."""
    return Message(name, payload, "text/plain", 1_760_000_000_000_000, DeliverySemantics.AT_LEAST_ONCE)


async def fill(slot: DurabilityBackend, queue: str, names: Sequence[str], ttl: Micros | None = None) -> None:
    """Makes the queue, and puts a message for each name into it."""
    await slot.create([queue])
    for name in names:
        assert await slot.enqueue(message(name), [queue], ttl) == [Enqueued()]


async def lease(slot: DurabilityBackend, queue: str, limit: int = 100, visibility: Micros = LONG) -> list[Lease]:
    """What the queue hands out."""
    return await slot.dequeue([queue], limit, visibility)


def shown(leases: Sequence[Lease]) -> list[str | int]:
    """The ids of the messages, and of gaps how many were dropped."""
    return [item.content.dropped if isinstance(item.content, Gap) else item.content.id for item in leases]


async def drain(slot: DurabilityBackend, queue: str) -> list[str | int]:
    """Takes and acks all that the queue hands out."""
    leases = await lease(slot, queue)
    assert await slot.ack(leases) == [Settled()] * len(leases)
    return shown(leases)
