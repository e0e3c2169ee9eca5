"""Short words for what messaging checks do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from prism.slots.messaging import (
    Interrupted,
    MessagingBackend,
    Publication,
    Received,
    Subscription,
    Topic,
    TopicKind,
)

from prism_conformance.harness import PATIENCE

END = Topic(TopicKind.INBOX, "end of the test")
"""Where a last publication goes, to show where now is."""


def inbox(name: str) -> Topic:
    """A proxy's topic."""
    return Topic(TopicKind.INBOX, name)


def identity(name: str) -> Topic:
    """An identity's topic."""
    return Topic(TopicKind.IDENTITY, name)


async def read(subscription: Subscription, enough: Callable[[list[Received]], bool]) -> list[Received]:
    """Reads until there is enough; an interruption, or nothing more for a long time, fails the check."""
    found: list[Received] = []
    try:
        async with asyncio.timeout(PATIENCE) as limit:
            async for batch in subscription:
                _start_anew(limit)
                assert batch, "an empty batch"
                gaps = [event.reason for event in batch if isinstance(event, Interrupted)]
                assert not gaps, "interrupted though nothing happened to the connection"
                found += [event for event in batch if isinstance(event, Received)]
                if enough(found):
                    return found
    except TimeoutError as error:
        text = f"nothing new for {PATIENCE:.0f} s; {len(found)} publications have arrived, fewer than expected"
        raise AssertionError(f"{text}: {_few(found)}") from error
    raise AssertionError(f"the subscription ended after {len(found)} publications: {_few(found)}")


async def read_with_gaps(
    subscription: Subscription, last: Callable[[Received], bool]
) -> tuple[list[Received], list[Interrupted]]:
    """Reads up to the last publication or the first interruption; nothing more for a long time fails the check."""
    found: list[Received] = []
    async with asyncio.timeout(PATIENCE) as limit:
        async for batch in subscription:
            _start_anew(limit)
            gaps = [event for event in batch if isinstance(event, Interrupted)]
            found += [event for event in batch if isinstance(event, Received)]
            if gaps or (found and last(found[-1])):
                return found, gaps
    raise AssertionError(f"the subscription ended after {len(found)} publications: {_few(found)}")


async def read_to_end(slot: MessagingBackend, subscription: Subscription) -> list[Received]:
    """All that came in until now: a last publication shows where now is."""
    await subscription.add([END])
    await slot.publish(Publication(b"end"), [END])
    found = await read(subscription, lambda events: any(event.topic == END for event in events))
    return [event for event in found if event.topic != END]


async def exhaust(subscription: Subscription) -> None:
    """Reads until the subscription ends."""
    async for _ in subscription:
        pass


def texts(events: Sequence[Received]) -> list[bytes]:
    """The payloads."""
    return [event.publication.payload for event in events]


def _start_anew(limit: asyncio.Timeout) -> None:
    """Patience counts from the last news: how long thousands of publications take, the machine decides."""
    limit.reschedule(asyncio.get_running_loop().time() + PATIENCE)


def _few(events: Sequence[Received]) -> list[tuple[str, bytes]]:
    return [(event.topic.name[:40], event.publication.payload[:40]) for event in events[-5:]]
