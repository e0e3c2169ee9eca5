"""Multicast to 10,000 identities on two proxies, on Redis and NATS, beside the bare libraries doing it by hand.

By hand: the identities are read from a Redis set, and for each proxy a frame with the payload and its 5,000 names is
published. Or, the other way, nats-py publishes a message for each identity.

Sending is measured with the same plain subscriber at the other end of all three: what a proxy does with a frame is
another machine's work, here it would compete for two cores. The way to the last receiver is measured with two proxies,
whose receivers are in their processes and only count.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

import nats
from nats.aio.client import Client as Nats
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.operations import MulticastCommand
from prism.model.time import SECOND
from prism.server.garbage import relax_collector
from prism.slots.registry import Anything, Stored, Write
from prism_conformance.servers import Server, start
from prism_nats.config import NatsConfig
from prism_nats.subjects import Subjects
from redis.asyncio import Redis

from benchmarks.backends import NAMESPACE, config, redis_registry, slot
from benchmarks.frames import PAYLOAD
from benchmarks.harness import Report, in_turns_async, quick, ratio
from benchmarks.workers import Worker

PATIENCE = 60.0
PROXIES = 2
HALL, PAPER = {"room": "hall"}, {"room": "paper"}


def name(number: int) -> str:
    """An identity."""
    return f"seat-{number:07}"


async def on_paper(server: Server, total: int) -> list[str]:
    """Registers identities as if they were attached to two proxies; the addresses of these."""
    registry = await redis_registry(server)
    addresses = [f"paper-{number}" for number in range(PROXIES)]
    writes = [
        Write(f"{name(i)}-paper", b'{"room":"paper"}', f"{i:024x}", 3_600 * SECOND, Anything(), addresses[i % PROXIES])
        for i in range(total)
    ]
    assert all(isinstance(outcome, Stored) for outcome in await registry.set(writes))
    await registry.close()
    return addresses


class ByHand:
    """The same without Prism: redis-py, nats-py, and a subscriber in a process of its own."""

    def __init__(self, redis: Redis, broker: Nats, subscriber: Worker, names: list[str]) -> None:
        self.redis = redis
        self.broker = broker
        self.subscriber = subscriber
        self.names = names

    async def frames(self) -> float:
        """Seconds to read the names from a set and to publish a frame for each proxy."""
        self.subscriber.ask("expect", total=PROXIES)
        half = len(self.names) // PROXIES
        began = time.monotonic()
        members: list[Any] = list(await self.redis.smembers("members"))
        for number in range(PROXIES):
            targets = b"\n".join(members[number * half : (number + 1) * half])
            await self.broker.publish(f"frames.{number}", PAYLOAD + targets)
        await self.broker.flush()
        seconds = time.monotonic() - began
        await self.subscriber.ask_async("wait", seconds=PATIENCE)
        return seconds

    async def frames_by_address(self) -> float:
        """The same where the set says of each name which registration and proxy it has, as a multicast has to know."""
        self.subscriber.ask("expect", total=PROXIES)
        began = time.monotonic()
        groups: dict[bytes, list[bytes]] = {}
        entries: Any = await self.redis.smembers("entries")
        for entry in entries:
            target, _, address = entry.rpartition(b"\0")
            groups.setdefault(address, []).append(target)
        for address, targets in groups.items():
            await self.broker.publish(f"frames.{address.decode()}", PAYLOAD + b"\n".join(targets))
        await self.broker.flush()
        seconds = time.monotonic() - began
        await self.subscriber.ask_async("wait", seconds=PATIENCE)
        return seconds

    async def messages(self) -> tuple[float, float]:
        """Seconds to publish a message for each name, and until the subscriber has them all."""
        self.subscriber.ask("expect", total=len(self.names))
        began = time.monotonic()
        for each in self.names:
            await self.broker.publish(f"seats.{each}", PAYLOAD)
        await self.broker.flush()
        sent = time.monotonic()
        end: float = (await self.subscriber.ask_async("wait", seconds=PATIENCE))["end"]
        return sent - began, end - began

    async def messages_sent(self) -> float:
        """The first of them."""
        return (await self.messages())[0]

    async def messages_arrived(self) -> float:
        """The second of them."""
        return (await self.messages())[1]


async def measure(report: Report, total: int, others: int, rounds: int) -> None:
    """Multicasts to `total` identities in a room, among as many in another and `others` elsewhere."""
    half = total // PROXIES
    with start("redis") as redis, start("nats") as broker:
        settings = config(registry=slot("redis", redis), messaging=slot("nats", broker))
        text = json.dumps(settings)
        with (
            Worker("hosts", text) as one,
            Worker("hosts", text) as two,
            Worker("subscribers", "nats", broker.url) as ear,
        ):
            hosts = (one, two)
            for number, host in enumerate(hosts):
                host.ask("attach", first=number * half, sessions=half, each=1, room="hall")
                host.ask("attach", first=total + number * others, sessions=1, each=others, room="elsewhere")
            addresses = await on_paper(redis, total)
            subjects = Subjects(NatsConfig().subject_prefix, NAMESPACE)
            inboxes = [subjects.topic("inbox", address) for address in addresses]
            ear.ask("subscribe", topics=["frames.*", "seats.*", *inboxes])
            by_hand = ByHand(
                Redis.from_url(redis.url), await nats.connect(broker.url), ear, [name(i) for i in range(total)]
            )
            await by_hand.redis.sadd("members", *by_hand.names)
            entries = [f"{each}\0{i:024x}\0{addresses[i % PROXIES]}" for i, each in enumerate(by_hand.names)]
            await by_hand.redis.sadd("entries", *entries)
            async with Coordinator(load_config(settings)) as coordinator:
                relax_collector()  # as `prism serve` does

                async def sent() -> float:
                    ear.ask("expect", total=PROXIES)
                    began = time.monotonic()
                    result = await coordinator.multicast(NAMESPACE, MulticastCommand(PAPER, PAYLOAD, timeout=0))
                    seconds = time.monotonic() - began
                    assert result.pending_count == total, result
                    await ear.ask_async("wait", seconds=PATIENCE)
                    return seconds

                async def multicast(wait: float) -> tuple[float, float]:
                    """Seconds until the call has returned, and until the last identity has the message."""
                    for host in hosts:
                        host.ask("expect", total=half)
                    began = time.monotonic()
                    command = MulticastCommand(HALL, PAYLOAD, timeout=round(wait * SECOND))
                    result = await coordinator.multicast(NAMESPACE, command)
                    returned = time.monotonic()
                    assert result.target_count == total, result
                    assert result.delivered_count == (total if wait else 0), result
                    ends = [(await host.ask_async("wait", seconds=PATIENCE))["end"] for host in hosts]
                    return returned - began, max(ends) - began

                async def arrived() -> float:
                    return (await multicast(0))[1]

                async def answered() -> float:
                    return (await multicast(PATIENCE))[0]

                works = {
                    "multicast sent": sent,
                    "frames by hand": by_hand.frames,
                    "frames by hand, by address": by_hand.frames_by_address,
                    "publishes by hand": by_hand.messages_sent,
                    "multicast arrived": arrived,
                    "publishes by hand arrived": by_hand.messages_arrived,
                    "multicast with all receipts": answered,
                }
                seconds = await in_turns_async(rounds, works)
            await by_hand.broker.close()
            await by_hand.redis.aclose()
    report.rounds |= seconds
    median = {name: statistics.median(values) * 1e3 for name, values in seconds.items()}
    report.add(f"{total:,} names from a Redis set, two frames to NATS, by hand", median["frames by hand"], "ms")
    report.add(f"multicast to {total:,} on two proxies, sent", median["multicast sent"], "ms")
    share = ratio(seconds["multicast sent"], seconds["frames by hand"])
    report.add("multicast / two frames by hand", share, "x", at_most=1.3)
    informed = "frames by hand, by address"
    report.add("the same, names with registration and proxy in the set", median[informed], "ms")
    share = ratio(seconds["multicast sent"], seconds[informed])
    report.add("multicast / two frames by hand, by registration and proxy", share, "x")
    report.add(f"{total:,} publishes of nats-py, sent", median["publishes by hand"], "ms")
    share = ratio(seconds["multicast sent"], seconds["publishes by hand"])
    report.add("multicast / publishes of nats-py, sent", share, "x", at_most=1)
    report.add(f"multicast to {total:,}, until the last has it", median["multicast arrived"], "ms")
    report.add(f"{total:,} publishes, until one subscriber has all", median["publishes by hand arrived"], "ms")
    share = ratio(seconds["multicast arrived"], seconds["publishes by hand arrived"])
    report.add("multicast / publishes of nats-py, arrived", share, "x", at_most=1)
    report.add(f"multicast to {total:,}, all receipts in", median["multicast with all receipts"], "ms")


async def main() -> None:
    """Measures and reports."""
    small = quick()
    report = Report("attached")
    await measure(report, 1_000 if small else 10_000, 500 if small else 5_000, 3 if small else 15)
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
