"""At-least-once to 10,000 queues on Redis and on JetStream, beside redis-py and nats-py storing as many messages.

By hand a message is added to each of 10,000 streams (Redis) or published to as many subjects of one stream (JetStream),
256 acknowledgements outstanding. Both servers keep it as their defaults do: Redis in memory, JetStream in files. A
multicast reads the targets from the registry on Redis first.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable

import nats
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.message import DeliverySemantics, Message, new_message_id
from prism.model.operations import Default, MulticastCommand, NewIdentity
from prism.model.time import SECOND, wall_clock
from prism.server.garbage import relax_collector
from prism.slots.durability import Enqueued, Lease
from prism_conformance.servers import Server, start
from redis.asyncio import Redis

from benchmarks.backends import NAMESPACE, config, slot
from benchmarks.frames import PAYLOAD
from benchmarks.harness import Report, Rounds, in_turns_async, quick, ratio

IN_FLIGHT = 256
ROOM = {"room": "hall"}
VISIBILITY = 30 * SECOND
Work = Callable[[], Awaitable[None]]


def names(total: int) -> list[str]:
    """The queues."""
    return [f"seat-{number:07}" for number in range(total)]


def timed(work: Work) -> Callable[[], Awaitable[float]]:
    """The work, measuring itself."""

    async def measured() -> float:
        began = time.perf_counter()
        await work()
        return time.perf_counter() - began

    return measured


async def compared(
    redis: Server, kind: str, server: Server, total: int, rounds: int, by_hand: dict[str, Work]
) -> Rounds:
    """Rounds of storing by multicast and by the slot alone, of taking out what was stored, and of doing it by hand."""
    settings = config(registry=slot("redis", redis), messaging=slot(kind, server), durability=slot(kind, server))
    async with Coordinator(load_config(settings)) as coordinator:
        items = [NewIdentity(name, ROOM) for name in names(total)]
        await coordinator.register(NAMESPACE, items, ttl=Default.TTL, replace=False)
        durability = (await coordinator.namespace(NAMESPACE)).durability
        assert durability is not None
        relax_collector()  # as `prism serve` does

        async def multicast() -> None:
            command = MulticastCommand(ROOM, PAYLOAD, delivery=DeliverySemantics.AT_LEAST_ONCE, timeout=0)
            result = await coordinator.multicast(NAMESPACE, command)
            assert result.pending_count == total, result

        async def enqueued() -> None:
            delivery = DeliverySemantics.AT_LEAST_ONCE
            message = Message(new_message_id(), PAYLOAD, "text/plain", wall_clock(), delivery)
            outcomes = await durability.enqueue(message, names(total), None)
            assert all(isinstance(outcome, Enqueued) for outcome in outcomes)

        async def taken_out() -> None:
            """Both messages of this round."""
            left = 2 * total
            while left:
                for begin in range(0, total, 1_000):
                    leases: list[Lease] = list(
                        await durability.dequeue(names(total)[begin : begin + 1_000], 10, VISIBILITY)
                    )
                    await durability.ack(leases)
                    left -= len(leases)

        works = {"multicast": multicast, "enqueue": enqueued, "dequeue and ack": taken_out, **by_hand}
        return await in_turns_async(rounds, {name: timed(work) for name, work in works.items()})


async def on_redis(report: Report, total: int, rounds: int) -> None:
    """Beside XADD by a pipeline of redis-py."""
    with start("redis") as server:
        client = Redis.from_url(server.url)

        async def by_hand() -> None:
            pipeline = client.pipeline(transaction=False)
            for name in names(total):
                pipeline.xadd(f"stream:{name}", {"payload": PAYLOAD, "id": "m"}, maxlen=100, approximate=True)
            await pipeline.execute()

        seconds = await compared(server, "redis", server, total, rounds, {"XADD by hand": by_hand})
        await client.aclose()
    _add(report, "Redis", seconds, total)
    share = ratio(seconds["XADD by hand"], seconds["enqueue"])
    report.add("Redis: enqueue, times as fast as XADD by hand", share, "x")
    share = ratio(seconds["XADD by hand"], seconds["multicast"])
    report.add("Redis: multicast, times as fast as XADD by hand", share, "x")


async def on_jetstream(report: Report, total: int, rounds: int) -> None:
    """Beside `js.publish` of nats-py."""
    with start("redis") as redis, start("nats") as server:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        await stream.add_stream(name="bare", subjects=["bare.*"], max_msgs_per_subject=100)
        numbers = itertools.count()

        async def by_hand() -> None:
            remaining = iter(names(total))

            async def publish() -> None:
                for name in remaining:
                    await stream.publish(f"bare.{name}", PAYLOAD, headers={"Nats-Msg-Id": f"{next(numbers)}"})

            await asyncio.gather(*(publish() for _ in range(IN_FLIGHT)))

        seconds = await compared(redis, "nats", server, total, rounds, {"js.publish by hand": by_hand})
        await client.close()
    _add(report, "JetStream", seconds, total)
    share = ratio(seconds["js.publish by hand"], seconds["enqueue"])
    report.add("JetStream: enqueue, times as fast as js.publish", share, "x", at_least=1.8)
    share = ratio(seconds["js.publish by hand"], seconds["multicast"])
    report.add("JetStream: multicast, times as fast as js.publish", share, "x")


def _add(report: Report, backend: str, seconds: Rounds, total: int) -> None:
    for name, values in seconds.items():
        report.rounds[f"{backend}: {name}"] = values
        messages = 2 * total if name == "dequeue and ack" else total
        where = f"{backend}: {name}, {total:,} queues"
        report.add(where, statistics.median(values) / messages * 1e6, "us/message")


async def main() -> None:
    """Measures and reports."""
    small = quick()
    total, rounds = (1_000, 2) if small else (10_000, 7)
    report = Report("queues")
    await on_redis(report, total, rounds)
    await on_jetstream(report, total, rounds)
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
