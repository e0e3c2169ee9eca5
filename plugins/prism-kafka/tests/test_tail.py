"""Without a broker: what brokers that disagree or change do, and one alone doesn't."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from prism_kafka.fetching import Record, Tail
from prism_kafka.link import Link, has_leaders
from support.proxies import eventually

PLACE = TopicPartition("log", 0)


def batch(offset: int) -> bytes:
    """A batch of one record."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1_000)
    builder.append(0, timestamp=1, key=None, value=b"%d" % offset, headers=[])
    return offset.to_bytes(8) + bytes(builder.build())[8:]


class Client:
    """Brokers that lead the partition one after another, and have one record more for each request."""

    def __init__(self) -> None:
        self.leader = 1
        self.cluster = SimpleNamespace(leader_for_partition=lambda _place: self.leader)

    async def send(self, _node: int, request: Any) -> Any:
        [(_, [(_, offset, _)])] = request._topics
        await asyncio.sleep(0)
        return SimpleNamespace(topics=[("log", [(0, 0, offset + 1, batch(offset))])])


async def test_partition_whose_leader_changes_is_applied_in_order() -> None:
    client = Client()
    delivered: list[int] = []

    async def deliver(_partition: TopicPartition, records: Sequence[Record], _after: int, _end: int) -> None:
        if client.leader == 1:
            client.leader = 2
            tail.seek({})  # as whenever something else is to be read: it looks who leads what
            for _ in range(20):  # as while it writes a snapshot
                await asyncio.sleep(0)
        delivered.extend(record.offset for record in records)

    tail = Tail(cast("Link", SimpleNamespace(new_client=lambda: client)), deliver, cast("Any", None), 0.01)
    tail.seek({PLACE: 0})
    running = asyncio.create_task(tail.run())
    await eventually(lambda: len(delivered) >= 5)
    running.cancel()
    assert delivered[:5] == [0, 1, 2, 3, 4]


class Disagreeing:
    """Brokers of which the second that is asked doesn't know a topic yet; like aiokafka's client."""

    def __init__(self) -> None:
        self.asked = 0
        self.known: set[str] = set()
        self.leaders: dict[str, set[int]] = {}
        self.cluster = SimpleNamespace(available_partitions_for_topic=self.leaders.get)

    def get_random_node(self) -> int:
        return 1

    async def send(self, _node: int, _request: Any) -> Any:
        return SimpleNamespace(topics=[(0, "log", False, [(0, 0, 1)])])

    async def add_topic(self, topic: str) -> None:
        if topic not in self.known:
            self.known.add(topic)
            await self.force_metadata_update()

    async def force_metadata_update(self) -> None:
        self.asked += 1
        if self.asked > 1:
            self.leaders["log"] = {0}


async def test_topic_that_not_every_broker_knows_yet_is_asked_for_again() -> None:
    async with asyncio.timeout(5):
        assert await has_leaders(cast("AIOKafkaClient", Disagreeing()), ["log"]) == {"log": 1}
