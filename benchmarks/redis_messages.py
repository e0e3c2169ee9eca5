"""Messages on Redis: multicast to 10,000 topics that native subscribers listen to, and to 10,000 queues, by hand too.

By hand redis-py publishes to as many channels, or adds to as many streams, by pipelines. The other end of the topics is
a plain subscriber in a process of its own; a round ends when the server has taken everything.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.message import DeliverySemantics, Message, new_message_id
from prism.model.operations import Default, MulticastCommand, NewIdentity
from prism.model.time import SECOND, wall_clock
from prism.server.garbage import relax_collector
from prism.slots.durability import Enqueued, Lease
from prism.slots.messaging import Publication, Topic, TopicKind
from prism_conformance.servers import Server, start
from prism_redis.config import RedisConfig
from prism_redis.keys import partitions
from redis.asyncio import Redis

from benchmarks.backends import NAMESPACE, config, slot
from benchmarks.frames import PAYLOAD
from benchmarks.harness import Report, Rounds, in_turns_async, quick, ratio
from benchmarks.workers import Worker

PATIENCE = 60.0
ROOM = {"room": "hall"}
VISIBILITY = 30 * SECOND
TAKEN_AT_ONCE = 1_000
"""Queues in one call, as a proxy looks into them."""
Work = Callable[[], Awaitable[None]]


def names(total: int) -> list[str]:
    """The identities."""
    return [f"seat-{number:07}" for number in range(total)]


@asynccontextmanager
async def opened(server: Server, total: int) -> AsyncIterator[Coordinator]:
    """A coordinator with identities that are not attached: messages for them go to their own topics."""
    redis = slot("redis", server)
    settings = config(registry=redis, messaging=redis, durability=redis)
    async with Coordinator(load_config(settings)) as coordinator:
        items = [NewIdentity(name, ROOM) for name in names(total)]
        await coordinator.register(NAMESPACE, items, ttl=Default.TTL, replace=True)
        relax_collector()  # as `prism serve` does
        yield coordinator


async def to_topics(report: Report, server: Server, bare: Redis, total: int, rounds: int) -> None:
    """Multicasts at most once."""
    [home] = partitions(RedisConfig().key_prefix, NAMESPACE, 1)
    channels = [home.tag.decode() + f":id:{name}" for name in names(total)]
    with Worker("subscribers", "redis", server.url) as ear:
        ear.ask("subscribe", topics=channels)
        async with opened(server, total) as coordinator:
            ns = await coordinator.namespace(NAMESPACE)
            topics = [Topic(TopicKind.IDENTITY, name) for name in names(total)]

            async def multicast() -> None:
                result = await coordinator.multicast(NAMESPACE, MulticastCommand(ROOM, PAYLOAD))
                assert result.delivered_count == total, result

            async def published() -> None:
                assert len(await ns.messaging.publish(Publication(PAYLOAD), topics)) == total

            async def by_hand() -> None:
                pipeline = bare.pipeline(transaction=False)
                for channel in channels:
                    pipeline.publish(channel, PAYLOAD)
                assert sum(await pipeline.execute()) == total

            def heard(publish: Work) -> Callable[[], Awaitable[float]]:
                """Measures publishing; the next round begins when the subscriber has everything."""

                async def measured() -> float:
                    ear.ask("expect", total=total)
                    seconds = await timed(publish)()
                    await ear.ask_async("wait", seconds=PATIENCE)
                    return seconds

                return measured

            works = {"multicast": multicast, "messaging slot": published, "PUBLISH by redis-py": by_hand}
            seconds = await in_turns_async(rounds, {name: heard(publish) for name, publish in works.items()})
    _add(report, "topics", seconds, total)
    share = ratio(seconds["PUBLISH by redis-py"], seconds["messaging slot"])
    report.add("messaging slot, times as fast as redis-py's pipeline", share, "x", at_least=4)
    share = ratio(seconds["PUBLISH by redis-py"], seconds["multicast"])
    report.add("multicast, times as fast as redis-py's pipeline", share, "x")


async def to_queues(report: Report, server: Server, bare: Redis, total: int, rounds: int) -> None:
    """Multicasts at least once, and taking out what was stored."""
    async with opened(server, total) as coordinator:
        durability = (await coordinator.namespace(NAMESPACE)).durability
        assert durability is not None

        async def multicast() -> None:
            command = MulticastCommand(ROOM, PAYLOAD, delivery=DeliverySemantics.AT_LEAST_ONCE, timeout=0)
            result = await coordinator.multicast(NAMESPACE, command)
            assert result.pending_count == total, result

        async def enqueued() -> None:
            delivery = DeliverySemantics.AT_LEAST_ONCE
            message = Message(new_message_id(), PAYLOAD, "text/plain", wall_clock(), delivery)
            outcomes = await durability.enqueue(message, names(total), None)
            assert all(isinstance(outcome, Enqueued) for outcome in outcomes)

        async def by_hand() -> None:
            pipeline = bare.pipeline(transaction=False)
            for name in names(total):
                pipeline.xadd(f"stream:{name}", {"payload": PAYLOAD, "id": "m"}, maxlen=100, approximate=True)
            await pipeline.execute()

        async def taken_out() -> None:
            """Both messages of this round."""
            left = 2 * total
            while left:
                for begin in range(0, total, TAKEN_AT_ONCE):
                    queues = names(total)[begin : begin + TAKEN_AT_ONCE]
                    leases: list[Lease] = list(await durability.dequeue(queues, 10, VISIBILITY))
                    await durability.ack(leases)
                    left -= len(leases)

        works = {"multicast": multicast, "enqueue": enqueued, "XADD by redis-py": by_hand, "dequeue and ack": taken_out}
        seconds = await in_turns_async(rounds, {name: timed(work) for name, work in works.items()})
    _add(report, "queues", seconds, total)
    share = ratio(seconds["XADD by redis-py"], seconds["enqueue"])
    report.add("enqueue, times as fast as redis-py's pipeline of XADD", share, "x")
    share = ratio(seconds["XADD by redis-py"], seconds["multicast"])
    report.add("at-least-once multicast, times as fast as redis-py's pipeline of XADD", share, "x")


def timed(work: Work) -> Callable[[], Awaitable[float]]:
    """The work, measuring itself."""

    async def measured() -> float:
        began = time.perf_counter()
        await work()
        return time.perf_counter() - began

    return measured


def _add(report: Report, what: str, seconds: Rounds, total: int) -> None:
    for name, values in seconds.items():
        report.rounds[f"{what}: {name}"] = values
        messages = 2 * total if name == "dequeue and ack" else total
        report.add(f"{name}, {total:,} {what}", statistics.median(values) / messages * 1e6, "us/message")


async def main() -> None:
    """Measures and reports."""
    small = quick()
    total, rounds = (1_000, 3) if small else (10_000, 11)
    report = Report("redis_messages")
    with start("redis") as server:
        async with Redis.from_url(server.url) as bare:
            await to_topics(report, server, bare, total, rounds)
            await to_queues(report, server, bare, total, rounds)
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
