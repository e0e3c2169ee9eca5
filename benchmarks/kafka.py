"""At-least-once through Kafka: a message stored for 10,000 identities, beside aiokafka alone; acked deliveries.

Broker and proxies share the machine's cores, and both proxies of a pair are in this process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.errors import PrismError
from prism.model.message import DeliverySemantics, Message
from prism.model.operations import MulticastCommand, NewIdentity
from prism.model.time import SECOND
from prism.server.garbage import relax_collector
from prism.slots.context import SlotContext
from prism.slots.durability import Enqueued, Settled
from prism_conformance.servers import Server, start
from prism_kafka.config import KafkaConfig
from prism_kafka.durability import KafkaDurability
from prism_kafka.naming import by_partition, partition_of

from benchmarks.harness import Report, in_turns_async, quick, ratio

PARTITIONS = 8
PAYLOAD = b"x" * 256
QUEUES_PER_CALL = 1_000
"""What the pump of a proxy asks for at a time."""
LEASES_PER_CALL = 5_000
LONG = 600 * SECOND
NAMESPACE = "devices"
ROOM = {"room": "hall"}

numbers = count()


def message() -> Message:
    """A message that no queue has had."""
    name = f"m{next(numbers)}"
    return Message(name, PAYLOAD, "application/octet-stream", 1, DeliverySemantics.AT_LEAST_ONCE)


@asynccontextmanager
async def producer(server: Server, batch: int = 512 * 1024) -> AsyncIterator[AIOKafkaProducer]:
    """aiokafka's, with the promises that the slot's has."""
    options = {"enable_idempotence": True, "acks": "all", "max_batch_size": batch}
    async with AIOKafkaProducer(bootstrap_servers=server.url, **options) as made:
        yield made


@asynccontextmanager
async def slot(server: Server, prefix: str) -> AsyncIterator[KafkaDurability]:
    """An opened durability slot."""
    config = KafkaConfig(brokers=(server.url,), topic_prefix=prefix, partitions=PARTITIONS)
    opened = KafkaDurability(config, SlotContext("bench"))
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()


async def make_topic(server: Server, name: str) -> None:
    """A topic like those of the slot."""
    admin = AIOKafkaAdminClient(bootstrap_servers=server.url)
    await admin.start()
    settings = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=settings)])
    await admin.close()


class Bare:
    """The same records by aiokafka alone: one for each identity, keyed by it."""

    def __init__(self, made: AIOKafkaProducer, topic: str, queues: Sequence[str]) -> None:
        self._producer = made
        self._topic = topic
        self._queues = queues

    async def send_batch(self) -> float:
        """Batches made for each partition."""
        began = time.perf_counter()
        waiting = []
        for partition, names in by_partition(self._queues, PARTITIONS).items():
            batch = self._producer.create_batch()
            for name in names:
                key = name.encode()
                if batch.append(timestamp=None, key=key, value=PAYLOAD) is None:
                    waiting.append(await self._sent(batch, partition))
                    batch = self._producer.create_batch()
                    batch.append(timestamp=None, key=key, value=PAYLOAD)
            waiting.append(await self._sent(batch, partition))
        await asyncio.gather(*waiting)
        return time.perf_counter() - began

    async def send(self) -> float:
        """One call for each record."""
        began = time.perf_counter()
        waiting = [
            await self._producer.send(self._topic, PAYLOAD, name.encode(), partition=partition_of(name, PARTITIONS))
            for name in self._queues
        ]
        await asyncio.gather(*waiting)
        return time.perf_counter() - began

    async def _sent(self, batch: Any, partition: int) -> asyncio.Future[Any]:
        batch.close()
        sent: asyncio.Future[Any] = await self._producer.send_batch(batch, self._topic, partition=partition)
        return sent


async def store(sender: KafkaDurability, queues: Sequence[str]) -> float:
    """Stores a message for all and knows of each that it is."""
    began = time.perf_counter()
    outcomes = await sender.enqueue(message(), queues)
    seconds = time.perf_counter() - began
    assert outcomes == [Enqueued()] * len(queues)
    return seconds


async def deliver(receiver: KafkaDurability, queues: Sequence[str]) -> int:
    """Takes and acks all that is there, as a proxy does; how many."""
    done = 0
    for i in range(0, len(queues), QUEUES_PER_CALL):
        leases = await receiver.dequeue(queues[i : i + QUEUES_PER_CALL], 32, LONG)
        for j in range(0, len(leases), LEASES_PER_CALL):
            done += (await receiver.ack(leases[j : j + LEASES_PER_CALL])).count(Settled())
    return done


@asynccontextmanager
async def registered(kafka: Server, valkey: Server, identities: Sequence[str]) -> AsyncIterator[Coordinator]:
    """A proxy with a registry in Valkey and messages in Kafka, and identities that are away."""
    messaging = {"type": "kafka", "brokers": [kafka.url], "topic_prefix": "b.", "partitions": PARTITIONS}
    slots = {
        "registry": {"type": "redis", "url": valkey.url},
        "messaging": {**messaging, "delivery": "at-least-once"},
        "durability": {"use_messaging": True},
    }
    block = {"name": NAMESPACE, "pattern": "multicast-registry", "backend_slots": slots}
    async with Coordinator(load_config({"namespaces": [block]})) as coordinator:
        for i in range(0, len(identities), 1_000):
            items = [NewIdentity(name, ROOM) for name in identities[i : i + 1_000]]
            outcomes = await coordinator.register(NAMESPACE, items, ttl=LONG, replace=False)
            assert not any(isinstance(outcome, PrismError) for outcome in outcomes), outcomes
        yield coordinator


async def measure(report: Report, server: Server, valkey: Server, targets: int, rounds: int) -> None:
    """Storing, beside aiokafka; then the whole way with two proxies, and a multicast with its registry."""
    queues = [f"device-{i:06d}" for i in range(targets)]
    async with (
        slot(server, "a.") as sender,
        slot(server, "a.") as receiver,
        producer(server) as made,
        registered(server, valkey, queues) as coordinator,
    ):
        await make_topic(server, "bare")
        bare = Bare(made, "bare", queues)
        await sender.create(queues)

        await made.partitions_for("bare")

        async def stored() -> float:
            seconds = await store(sender, queues)
            await deliver(receiver, queues)
            return seconds

        async def delivered() -> float:
            began = time.perf_counter()
            await store(sender, queues)
            assert await deliver(receiver, queues) == targets
            return time.perf_counter() - began

        async def multicast() -> float:
            command = MulticastCommand(None, PAYLOAD, delivery=DeliverySemantics.AT_LEAST_ONCE, timeout=0)
            began = time.perf_counter()
            result = await coordinator.multicast(NAMESPACE, command)
            seconds = time.perf_counter() - began
            assert (result.target_count, result.failed_count) == (targets, 0), result
            return seconds

        relax_collector()  # as `prism serve` does
        works = {
            "stored": stored,
            "send_batch": bare.send_batch,
            "send": bare.send,
            "delivered": delivered,
            "multicast": multicast,
        }
        found = await in_turns_async(rounds, works)
    report.rounds |= found
    for name, text in (
        ("stored", f"a message stored for {targets:,} identities, each answer known"),
        ("send_batch", f"{targets:,} keyed records by bare send_batch"),
        ("send", f"{targets:,} keyed records by bare send"),
        ("multicast", f"multicast to all {targets:,} registered in Valkey, known to be stored"),
    ):
        report.add(text, 1000 * sorted(found[name])[rounds // 2], "ms")
    report.add("stored / bare send_batch", ratio(found["stored"], found["send_batch"]), "x", at_most=1.3)
    report.add("bare send / stored", ratio(found["send"], found["stored"]), "x", at_least=2)
    report.add("multicast / bare send_batch", ratio(found["multicast"], found["send_batch"]), "x", at_most=1.3)
    report.add(
        "stored, taken by another proxy and acked",
        targets / sorted(found["delivered"])[rounds // 2],
        "deliveries/s",
    )


def main() -> None:
    """Measures and writes the report."""
    targets, rounds = (2_000, 3) if quick() else (10_000, 15)
    report = Report("kafka")
    with start("kafka") as server, start("valkey") as valkey:
        asyncio.run(measure(report, server, valkey, targets, rounds))
    report.write()


if __name__ == "__main__":
    main()
