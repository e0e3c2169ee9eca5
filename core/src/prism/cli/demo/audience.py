"""The demo's live sessions: who hears what, counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prism import Client

OPENING = 32
"""Streams that open at the same time."""


class Heard:
    """How often each identity received each message."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._awaited: dict[str, tuple[set[str], asyncio.Event]] = {}

    def record(self, identity: str, message_id: str) -> None:
        """An identity received a message."""
        self._counts.setdefault(message_id, Counter())[identity] += 1
        if message_id in self._awaited:
            missing, complete = self._awaited[message_id]
            missing.discard(identity)
            if not missing:
                complete.set()

    def of(self, message_id: str) -> dict[str, int]:
        """Who received the message, and how often."""
        return dict(self._counts.get(message_id, {}))

    def everybody(self, message_id: str, identities: Iterable[str]) -> asyncio.Event:
        """An event that is set once all of them have received the message. Ask before it is sent."""
        complete = asyncio.Event()
        self._awaited[message_id] = (set(identities), complete)
        return complete


@asynccontextmanager
async def listening(heard: Heard, streams: list[tuple[Client, list[str]]]) -> AsyncIterator[None]:
    """Holds one stream for each entry (its client, the identities on it) as long as the block runs.

    The identities have to be registered; they stay so afterwards. All are attached when the block begins.
    """
    opening = asyncio.Semaphore(OPENING)
    ready = [asyncio.Event() for _ in streams]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_listen(heard, client, identities, opening, attached))
            for (client, identities), attached in zip(streams, ready, strict=True)
        ]
        for attached in ready:
            await attached.wait()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _listen(
    heard: Heard, client: Client, identities: list[str], opening: asyncio.Semaphore, attached: asyncio.Event
) -> None:
    target = identities[0] if len(identities) == 1 else dict.fromkeys(identities)
    async with AsyncExitStack() as stack:
        async with opening:
            inbox = await stack.enter_async_context(client.registry.attach(target, keep=True))
        attached.set()
        async for message in inbox:
            heard.record(message.identity, message.id)
