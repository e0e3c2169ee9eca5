"""A plain subscriber in a process of its own, which counts what comes: `python -m benchmarks.subscribers KIND URL`.

nats-py or redis-py alone, nothing of Prism.
"""

from __future__ import annotations

import asyncio
import sys
import time

import nats
from nats.aio.msg import Msg
from redis.asyncio import Redis

from benchmarks.workers import Answer, serve_commands


class Count:
    """What came so far, and how much is to come."""

    def __init__(self) -> None:
        self.received = 0
        self.wanted = 0
        self.complete = asyncio.Event()

    def add(self) -> None:
        """One more."""
        self.received += 1
        if self.received >= self.wanted:
            self.complete.set()

    async def expect(self, total: int) -> Answer:
        """Says how many are to come from now on."""
        self.received, self.wanted = 0, total
        self.complete.clear()
        return {}

    async def wait(self, seconds: float) -> Answer:
        """Waits until they have come; the moment."""
        async with asyncio.timeout(seconds):
            await self.complete.wait()
        return {"end": time.monotonic(), "messages": self.received}


async def on_nats(url: str) -> None:
    """Counts what NATS brings."""
    count = Count()
    client = await nats.connect(url)

    async def got(_: Msg) -> None:
        count.add()

    async def subscribe(topics: list[str]) -> Answer:
        for topic in topics:
            await client.subscribe(topic, cb=got)
        await client.flush()
        return {}

    await serve_commands({"subscribe": subscribe, "expect": count.expect, "wait": count.wait})
    await client.close()


async def on_redis(url: str) -> None:
    """Counts what Redis brings."""
    count = Count()
    async with Redis.from_url(url) as client, client.pubsub() as pubsub:
        readers: list[asyncio.Task[None]] = []

        async def read() -> None:
            async for message in pubsub.listen():
                if message["type"] == "message":
                    count.add()

        async def subscribe(topics: list[str]) -> Answer:
            await pubsub.subscribe(*topics)
            readers.append(asyncio.create_task(read()))
            return {}

        await serve_commands({"subscribe": subscribe, "expect": count.expect, "wait": count.wait})
        for reader in readers:
            reader.cancel()


if __name__ == "__main__":
    asyncio.run({"nats": on_nats, "redis": on_redis}[sys.argv[1]](sys.argv[2]))
