"""Multicast to 10,000 topics that native subscribers listen to, beside nats-py and redis-py publishing to them.

The registry is the embedded one: reading it is the only thing that the bare libraries don't do. The other end is a
plain subscriber in a process of its own; a round ends when the broker has taken everything.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import nats
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.operations import Default, MulticastCommand, NewIdentity
from prism.server.garbage import relax_collector
from prism.slots.messaging import Publication, Topic, TopicKind
from prism_conformance.servers import Server, start
from prism_nats.config import NatsConfig
from prism_nats.subjects import Subjects
from prism_redis.config import RedisConfig
from prism_redis.keys import partitions
from redis.asyncio import Redis

from benchmarks.backends import NAMESPACE, config, slot
from benchmarks.frames import PAYLOAD
from benchmarks.harness import Report, Rounds, in_turns_async, quick, ratio
from benchmarks.workers import Worker

PATIENCE = 60.0
ROOM = {"room": "hall"}
Publish = Callable[[], Awaitable[None]]


def names(total: int) -> list[str]:
    """The identities."""
    return [f"seat-{number:07}" for number in range(total)]


@asynccontextmanager
async def opened(kind: str, server: Server, total: int) -> AsyncIterator[Coordinator]:
    """A coordinator with identities that are not attached: messages for them go to their own topics."""
    settings = config(registry={"type": "memory"}, messaging=slot(kind, server))
    async with Coordinator(load_config(settings)) as coordinator:
        items = [NewIdentity(name, ROOM) for name in names(total)]
        await coordinator.register(NAMESPACE, items, ttl=Default.TTL, replace=False)
        relax_collector()  # as `prism serve` does
        yield coordinator


async def compared(
    ear: Worker, coordinator: Coordinator, total: int, rounds: int, by_hand: dict[str, Publish]
) -> Rounds:
    """Rounds of the multicast, of the messaging slot alone, and of what is done by hand."""
    ns = await coordinator.namespace(NAMESPACE)
    topics = [Topic(TopicKind.IDENTITY, name) for name in names(total)]

    async def multicast() -> None:
        result = await coordinator.multicast(NAMESPACE, MulticastCommand(ROOM, PAYLOAD))
        assert result.target_count == total, result
        assert result.failed_count == 0, result

    async def published() -> None:
        assert len(await ns.messaging.publish(Publication(PAYLOAD), topics)) == total

    def heard(publish: Publish) -> Callable[[], Awaitable[float]]:
        """Measures publishing; the next round begins when the subscriber has everything."""

        async def measured() -> float:
            ear.ask("expect", total=total)
            began = time.monotonic()
            await publish()
            seconds = time.monotonic() - began
            await ear.ask_async("wait", seconds=PATIENCE)
            return seconds

        return measured

    works = {"multicast": multicast, "messaging slot": published, **by_hand}
    return await in_turns_async(rounds, {name: heard(publish) for name, publish in works.items()})


async def on_nats(report: Report, total: int, rounds: int) -> None:
    """Beside nats-py."""
    with start("nats") as server, Worker("subscribers", "nats", server.url) as ear:
        subjects = Subjects(NatsConfig().subject_prefix, NAMESPACE)
        ear.ask("subscribe", topics=[subjects.topic("identity", "*").replace("%2A", "*")])
        addresses = [subjects.topic("identity", name) for name in names(total)]
        client = await nats.connect(server.url)

        async def by_hand() -> None:
            for address in addresses:
                await client.publish(address, PAYLOAD)
            await client.flush()

        async with opened("nats", server, total) as coordinator:
            seconds = await compared(ear, coordinator, total, rounds, {"nats-py": by_hand})
        await client.close()
    _add(report, "NATS", seconds, total)
    report.add("NATS: multicast / nats-py", ratio(seconds["multicast"], seconds["nats-py"]), "x", at_most=1.3)
    report.add("NATS: messaging slot / nats-py", ratio(seconds["messaging slot"], seconds["nats-py"]), "x")


async def on_redis(report: Report, total: int, rounds: int) -> None:
    """Beside a pipeline of redis-py."""
    with start("redis") as server, Worker("subscribers", "redis", server.url) as ear:
        [home] = partitions(RedisConfig().key_prefix, NAMESPACE, 1)
        channels = [home.tag.decode() + f":id:{name}" for name in names(total)]
        ear.ask("subscribe", topics=channels)
        client = Redis.from_url(server.url)

        async def by_hand() -> None:
            pipeline = client.pipeline(transaction=False)
            for channel in channels:
                pipeline.publish(channel, PAYLOAD)
            assert sum(await pipeline.execute()) == total

        async with opened("redis", server, total) as coordinator:
            seconds = await compared(ear, coordinator, total, rounds, {"redis-py": by_hand})
        await client.aclose()
    _add(report, "Redis", seconds, total)
    share = ratio(seconds["redis-py"], seconds["messaging slot"])
    report.add("Redis: messaging slot, times as fast as redis-py", share, "x", at_least=4)
    share = ratio(seconds["redis-py"], seconds["multicast"])
    report.add("Redis: multicast, times as fast as redis-py", share, "x")


def _add(report: Report, broker: str, seconds: Rounds, total: int) -> None:
    for name, values in seconds.items():
        report.rounds[f"{broker}: {name}"] = values
        report.add(f"{broker}: {name}, {total:,} topics", statistics.median(values) / total * 1e6, "us each")


async def main() -> None:
    """Measures and reports."""
    small = quick()
    total, rounds = (1_000, 3) if small else (10_000, 15)
    report = Report("topics")
    await on_nats(report, total, rounds)
    await on_redis(report, total, rounds)
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
