"""A proxy without a transport in a process of its own: `python -m benchmarks.hosts CONFIG`.

It hosts sessions whose readers only count what comes: what a multicast between proxies costs, without the streams'
own cost (see `multicast` for that).
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time

from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.errors import PrismError
from prism.model.operations import AttachItem
from prism.model.time import SECOND
from prism.server.garbage import relax_collector
from prism.sessions.events import Delivery
from prism.sessions.hub import Hub
from prism.sessions.session import Session

from benchmarks.backends import NAMESPACE
from benchmarks.workers import Answer, Handler, serve_commands

TTL = 3_600


class Host:
    """Sessions of this process, and what came into them."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.sessions: list[Session] = []
        self.readers: list[asyncio.Task[None]] = []
        self.received = 0
        self.wanted = 0
        self.complete = asyncio.Event()

    async def attach(self, first: int, sessions: int, each: int, room: str, ttl: int = TTL) -> Answer:
        """Opens sessions of `each` identities, numbered from `first` on."""
        number = first
        for _ in range(sessions):
            session = await self.hub.open(NAMESPACE)
            items = [AttachItem(f"seat-{number + i:07}", {"room": room}, ttl=ttl * SECOND) for i in range(each)]
            outcomes = await session.attach(items)
            assert not any(isinstance(outcome, PrismError) for outcome in outcomes), outcomes
            number += each
            self.sessions.append(session)
            self.readers.append(asyncio.create_task(self.read(session)))
        relax_collector()  # as `prism serve` does
        gc.collect()
        return {}

    async def read(self, session: Session) -> None:
        """Takes what comes into one session until the process ends."""
        while events := await session.take():
            session.handed_over(events)
            self.received += sum(len(event.handles) for event in events if isinstance(event, Delivery))
            if self.received >= self.wanted:
                self.complete.set()

    async def expect(self, total: int) -> Answer:
        """Says how many deliveries are to come from now on."""
        self.received, self.wanted = 0, total
        self.complete.clear()
        return {}

    async def wait(self, seconds: float) -> Answer:
        """Waits until they have come; the moment."""
        async with asyncio.timeout(seconds):
            await self.complete.wait()
        return {"end": time.monotonic(), "deliveries": self.received}

    async def live(self, seconds: float) -> Answer:
        """Keeps all sessions alive for so long, as their clients' frames would; the CPU time that took."""
        loop = asyncio.get_running_loop()
        began, end = time.process_time(), loop.time() + seconds
        while (now := loop.time()) < end:
            for session in self.sessions:
                session.last_frame = now
            await asyncio.sleep(0.5)
        return {"cpu": time.process_time() - began, "attached": sum(len(each.bindings) for each in self.sessions)}


async def main() -> None:
    """Serves until the input ends."""
    async with Coordinator(load_config(json.loads(sys.argv[1]))) as coordinator, Hub(coordinator) as hub:
        await coordinator.namespace(NAMESPACE)
        host = Host(hub)
        commands: dict[str, Handler] = {
            "attach": host.attach,
            "expect": host.expect,
            "wait": host.wait,
            "live": host.live,
        }
        await serve_commands(commands)
        for reader in host.readers:
            reader.cancel()


if __name__ == "__main__":
    asyncio.run(main())
