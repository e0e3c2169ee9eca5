"""Prism's own client attached many times, in a process of its own; counts the messages that applications get."""

from __future__ import annotations

import asyncio
import time

from prism import Client
from prism.client.events import InboxEvent, Lost, Reattached
from prism.client.inbox import Inbox

from benchmarks.workers import Answer, Handler, serve_commands

ATTACHING_AT_ONCE = 200
ROOM = {"room": "hall"}


class Inboxes:
    """Open inboxes, and what came into them."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.open_inboxes: list[Inbox] = []
        self.readers: list[asyncio.Task[None]] = []
        self.received = 0
        self.wanted = 0
        self.complete = asyncio.Event()
        self.attached_again = 0
        self.lost: list[str] = []
        self.all_again = asyncio.Event()

    async def open(self, address: str, namespace: str, inboxes: int, each: int) -> Answer:
        """Attaches `inboxes` times `each` identities; the seconds it took."""
        self.client = client = Client(namespace, address, timeout=60)
        start = time.monotonic()
        waiting = [
            client.registry.attach({f"seat-{number}-{seat}": ROOM for seat in range(each)}, ttl=600, on_event=self.note)
            for number in range(inboxes)
        ]
        for begin in range(0, inboxes, ATTACHING_AT_ONCE):
            await asyncio.gather(*(inbox.open() for inbox in waiting[begin : begin + ATTACHING_AT_ONCE]))
        self.open_inboxes = waiting
        self.readers = [asyncio.create_task(self.read(inbox)) for inbox in waiting]
        return {"seconds": time.monotonic() - start}

    async def read(self, inbox: Inbox) -> None:
        """Reads one inbox until it ends."""
        async for batch in inbox.batches():
            for message in batch:
                assert len(message.payload) == 256
            self.received += len(batch)
            if self.received >= self.wanted:
                self.complete.set()

    def note(self, event: InboxEvent) -> None:
        """Counts identities that are attached again, and those that never will be."""
        if isinstance(event, Reattached):
            self.attached_again += len(event.identities)
        elif isinstance(event, Lost):
            self.lost.append(f"{event.identity}: {event.error}")
        if self.attached_again + len(self.lost) >= len(self.open_inboxes):
            self.all_again.set()

    async def expect(self, total: int) -> Answer:
        """Says how many messages are to come from now on, over all inboxes."""
        self.received, self.wanted = 0, total
        self.complete.clear()
        return {}

    async def wait(self, seconds: float) -> Answer:
        """Waits until they have come; the moment and the number."""
        async with asyncio.timeout(seconds):
            await self.complete.wait()
        return {"end": time.monotonic(), "messages": self.received}

    async def reattached(self, seconds: float) -> Answer:
        """Waits until every inbox (of one identity) is attached again; how many are, and which never will be."""
        async with asyncio.timeout(seconds):
            await self.all_again.wait()
        return {"end": time.monotonic(), "attached": self.attached_again, "lost": self.lost[:10]}


async def main() -> None:
    """Serves until the input ends; the proxy that the identities are attached to is about to end too."""
    inboxes = Inboxes()
    commands: dict[str, Handler] = {
        "open": inboxes.open,
        "expect": inboxes.expect,
        "wait": inboxes.wait,
        "reattached": inboxes.reattached,
    }
    await serve_commands(commands)
    for reader in inboxes.readers:
        reader.cancel()
    if inboxes.client is not None:
        await inboxes.client.aclose()


if __name__ == "__main__":
    asyncio.run(main())
