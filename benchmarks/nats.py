"""NATS: a multicast to native topics, and storing a message in many JetStream queues, each beside nats-py alone."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.message import DeliverySemantics, Message, new_message_id
from prism.model.operations import MulticastCommand, NewIdentity
from prism.model.time import SECOND
from prism.server.garbage import relax_collector
from prism.slots.context import SlotContext
from prism.slots.durability import Enqueued
from prism_conformance.servers import Server, start
from prism_nats.config import NatsConfig
from prism_nats.durability import NatsDurability

from benchmarks.harness import Report, Rounds, in_turns_async, quick, ratio
from benchmarks.workers import Worker

PAYLOAD = b"x" * 256
ROOM = {"room": "hall"}
HEADERS = {
    "Prism-Namespace": "bench",
    "Prism-Message-Id": "0" * 32,
    "Prism-Sent-At": "2026-01-01T00:00:00.000000Z",
    "Content-Type": "application/octet-stream",
}
"""What a multicast to native topics says of itself, for the bare client that says as much."""
IN_FLIGHT = 256
"""Unacknowledged `js.publish` calls; more make nats-py no quicker."""


def configuration(server: Server) -> dict[str, object]:
    """One namespace, its registry in this process."""
    messaging = {"type": "nats", "servers": [server.url], "subject_prefix": server.scope}
    slots = {"registry": {"type": "memory"}, "messaging": messaging}
    return {"namespaces": [{"name": "bench", "pattern": "multicast-registry", "backend_slots": slots}]}


async def native_topics(report: Report, server: Server, bare: Client, count: int, rounds: int) -> None:
    """Finds identities by a filter and publishes to their topics, beside publishing alone to as many subjects."""
    names = [f"user-{i}" for i in range(count)]
    subjects = [f"{server.scope}.bench.to.{name}" for name in names]
    async with Coordinator(load_config(configuration(server))) as coordinator:
        await coordinator.register(
            "bench", [NewIdentity(name, ROOM) for name in names], ttl=3_600 * SECOND, replace=False
        )
        relax_collector()  # as `prism serve` does

        listeners = 0

        async def multicast() -> float:
            start_at = time.perf_counter()
            result = await coordinator.multicast("bench", MulticastCommand(ROOM, PAYLOAD, timeout=0))
            seconds = time.perf_counter() - start_at
            assert result.pending_count == count * listeners, result
            assert result.failed_count == count * (1 - listeners), result
            return seconds

        async def publish(headers: dict[str, str] | None = None) -> float:
            start_at = time.perf_counter()
            for subject in subjects:
                await bare.publish(subject, PAYLOAD, headers=headers)
            for _ in range(2):  # the first PING overtakes what nats-py has not written yet; the second comes behind it
                await bare.flush()
            return time.perf_counter() - start_at

        works = {"multicast": multicast, "nats-py": publish, "nats-py with headers": lambda: publish(HEADERS)}
        nobody = await in_turns_async(rounds, works)
        with Worker("nats_listener") as listener:
            listener.ask("listen", port=server.port, subject=f"{server.scope}.bench.to.*")
            listeners = 1
            heard = await in_turns_async(rounds, works)
    for where, seconds in (("heard", heard), ("unheard", nobody)):
        name = f"multicast to {count:,} native topics, {where}"
        report.rounds |= {f"{name}: {key}": values for key, values in seconds.items()}
        report.add(name, statistics.median(seconds["multicast"]) / count * 1e6, "us/topic")
        target = 1.3 if where == "heard" else None
        report.add(f"{name}, to nats-py", ratio(seconds["multicast"], seconds["nats-py"]), "x", at_most=target)
        same = ratio(seconds["multicast"], seconds["nats-py with headers"])
        report.add(f"{name}, to nats-py with the same headers", same, "x")


async def queues(report: Report, server: Server, bare: Client, count: int, size: int, rounds: int) -> Rounds:
    """Stores a message in queues, beside as many acknowledged `js.publish` to a stream of the same kind."""
    names = [f"user-{i}" for i in range(count)]
    jetstream = bare.jetstream()
    stream = f"bare-{size}"
    await jetstream.add_stream(name=stream, subjects=[f"{stream}.>"])
    config = NatsConfig(servers=(server.url,), subject_prefix=f"{server.scope}-{size}")
    slot = NatsDurability(config, SlotContext("bench"))
    await slot.open()
    try:
        await slot.create(names)
        payload = b"x" * size

        async def enqueue() -> float:
            message = Message(
                new_message_id(), payload, "application/octet-stream", 0, DeliverySemantics.AT_LEAST_ONCE, "bench"
            )
            start_at = time.perf_counter()
            outcomes = await slot.enqueue(message, names)
            seconds = time.perf_counter() - start_at
            assert outcomes == [Enqueued()] * count
            return seconds

        async def publish() -> float:
            return await _publish_acknowledged(jetstream, [f"{stream}.{name}" for name in names], payload)

        seconds = await in_turns_async(rounds, {"enqueue": enqueue, "js.publish": publish})
    finally:
        await slot.close()
        await jetstream.delete_stream(stream)
    shown = f"{size} bytes" if size < 1_024 else f"{size // 1_024:,} KiB"
    name = f"{shown} stored in {count:,} JetStream queues"
    report.rounds |= {f"{name}: {key}": values for key, values in seconds.items()}
    report.add(name, statistics.median(seconds["enqueue"]) / count * 1e6, "us/queue")
    speedup = ratio(seconds["js.publish"], seconds["enqueue"])
    report.add(f"{name}, times as quick as js.publish", speedup, "x", at_least=1.8 if size < 1_024 else None)
    return seconds


async def _publish_acknowledged(jetstream: JetStreamContext, subjects: Sequence[str], payload: bytes) -> float:
    """Seconds until all have been acknowledged, a bounded number of them in flight."""
    waiting = iter(subjects)

    async def publish_on() -> None:
        for subject in waiting:
            await jetstream.publish(subject, payload)

    start_at = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(publish_on())
    return time.perf_counter() - start_at


async def main() -> None:
    """Measures and reports."""
    small = quick()
    report = Report("nats")
    with start("nats") as server:
        bare = await nats.connect(server.url)
        await native_topics(report, server, bare, 1_000 if small else 10_000, 2 if small else 15)
        await queues(report, server, bare, 1_000 if small else 10_000, 256, 2 if small else 9)
        await queues(report, server, bare, 20 if small else 200, 512 * 1_024, 1 if small else 5)
        await bare.close()
    report.write()


if __name__ == "__main__":
    asyncio.run(main())
