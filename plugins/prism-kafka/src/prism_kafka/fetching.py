"""Reading partitions: what is there now, and what comes in from now on. Without consumer groups."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    OffsetOutOfRangeError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords
from prism.slots.context import Code

from prism_kafka.errors import NotConnected, classify
from prism_kafka.link import Link, has_leaders, patiently

logger = logging.getLogger(__name__)

END: Final = -1
BEGINNING: Final = -2
PIECE_BYTES: Final = 1024 * 1024
"""Bytes of one partition in one answer, if its next batch isn't larger."""
_ANSWER_BYTES: Final = 16 * 1024 * 1024
_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.8
"""Between two requests to brokers that don't answer."""

Record: TypeAlias = Any
"""aiokafka's, or Unreadable: `offset`, `timestamp` (milliseconds), `key`, `value`, `headers`."""


class Unreadable(NamedTuple):
    """Stands for all records of a batch in which one has a header whose name isn't UTF-8. None of ours has.

    Brokers take it, and aiokafka can't read past it.
    """

    offset: int
    timestamp: int
    key: None = None
    value: None = None
    headers: Sequence[tuple[str, bytes]] = ()


Deliver: TypeAlias = Callable[[TopicPartition, Sequence[Record], int, int], Awaitable[None]]
"""Takes records of a partition, the offset after them, and the partition's end as of the answer."""


async def offsets(link: Link, topic: str, partitions: Sequence[int], moment: int) -> dict[int, int]:
    """The END or BEGINNING of partitions: all that was acknowledged before this call is before their ends.

    Tries for `request_timeout` while a leader is being found. Raises aiokafka's errors.
    """
    return await patiently(link, lambda: _offsets(link, topic, partitions, moment))


async def _offsets(link: Link, topic: str, partitions: Sequence[int], moment: int) -> dict[int, int]:
    client = await link.client()
    by_leader: defaultdict[Any, list[int]] = defaultdict(list)
    for partition in partitions:
        by_leader[client.cluster.leader_for_partition(TopicPartition(topic, partition))].append(partition)
    found: dict[int, int] = {}
    for asked in by_leader.values():
        request = OffsetRequest(-1, 0, [(topic, [(partition, moment) for partition in asked])])
        answer = await link.ask(topic, asked[0], request)
        for _, answers in answer.topics:
            for partition, code, _, offset in answers:
                if code:
                    raise for_code(code)(f"partition {partition} of {topic}")
                found[partition] = offset
    return found


async def read(
    link: Link, topic: str, partition: int, offset: int, size: int = PIECE_BYTES
) -> tuple[list[Record], int]:
    """The records from an offset on that fit into `size` bytes (at least one where there are any), without waiting.

    Returns them with the offset after them. Tries for `request_timeout` while a leader is being found. Raises
    aiokafka's errors, OffsetOutOfRangeError among them.
    """
    return await patiently(link, lambda: _read(link, topic, partition, offset, size))


async def _read(link: Link, topic: str, partition: int, offset: int, size: int) -> tuple[list[Record], int]:
    answer = await link.ask(topic, partition, FetchRequest(0, 1, size, 0, [(topic, [(partition, offset, size)])]))
    for _, partitions in answer.topics:
        for _, code, _, *rest in partitions:
            if code:
                raise for_code(code)(f"partition {partition} of {topic} at offset {offset}")
            return _records(rest[-1], offset)
    return [], offset


class Tail:
    """Follows partitions from the offsets it is given, with one waiting request to each of their leaders."""

    def __init__(
        self, link: Link, deliver: Deliver, lost: Callable[[TopicPartition], Awaitable[int]], wait: float
    ) -> None:
        """Doesn't read yet.

        Args:
            link: how to connect.
            deliver: gets what comes in, partition by partition in order.
            lost: called when the offset of a partition isn't there any more; says where to go on.
            wait: seconds that a request waits for records, and so that a new partition may wait for the request.
        """
        self._client: AIOKafkaClient = link.new_client()
        self._deliver = deliver
        self._lost = lost
        self._wait_ms = round(wait * 1000)
        self._positions: dict[TopicPartition, int] = {}
        self._taking: set[TopicPartition] = set()
        self._waiting: dict[TopicPartition, float] = {}
        self._changed = asyncio.Event()
        self._pause = _PAUSE_S

    async def open(self, topics: Sequence[str]) -> None:
        """Connects. Raises aiokafka's errors."""
        await self._client.bootstrap()
        await has_leaders(self._client, topics)

    async def close(self) -> None:
        """Ends the connections. Cancel `run` before."""
        await self._client.close()

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Reads these partitions from these offsets on, and goes on with the others."""
        self._positions.update(positions)
        self._changed.set()

    def leave(self, partition: TopicPartition) -> None:
        """Reads a partition no more."""
        self._positions.pop(partition, None)

    def reads(self, partition: TopicPartition) -> bool:
        """Whether it follows a partition."""
        return partition in self._positions

    def has_read(self, partition: TopicPartition, end: int) -> bool:
        """Whether it is past an offset, or doesn't follow the partition."""
        return self._positions.get(partition, end) >= end

    def silence(self) -> float:
        """Seconds since a partition was first asked for that has had no answer since; 0 where all are answered."""
        waiting = [since for partition, since in self._waiting.items() if partition in self._positions]
        return max(0.0, time.monotonic() - min(waiting)) if waiting else 0.0

    async def run(self) -> None:
        """Reads for ever; a connection that is lost is made again. Raises what `deliver` raises."""
        requests: dict[Any, asyncio.Task[None]] = {}
        changed: asyncio.Task[Any] | None = None
        try:
            while True:
                self._changed.clear()
                for node, partitions in self._by_leader().items():
                    if node not in requests:
                        requests[node] = asyncio.create_task(self._request(node, partitions))
                changed = changed or asyncio.create_task(self._changed.wait())
                await asyncio.wait([*requests.values(), changed], return_when=asyncio.FIRST_COMPLETED)
                if changed.done():
                    changed = None
                for node in [node for node, task in requests.items() if task.done()]:
                    await requests.pop(node)
        finally:
            for task in filter(None, (*requests.values(), changed)):
                task.cancel()
                await asyncio.wait([task])

    def _by_leader(self) -> dict[Any, list[TopicPartition]]:
        found: defaultdict[Any, list[TopicPartition]] = defaultdict(list)
        for partition in self._positions:
            if partition in self._taking:
                continue  # for the answer of one that may not be its leader any more
            leader = self._client.cluster.leader_for_partition(partition)
            found[None if leader == -1 else leader].append(partition)
        return found

    async def _request(self, node: int | None, partitions: Sequence[TopicPartition]) -> None:
        """One request and what comes of it."""
        for partition in partitions:
            self._waiting.setdefault(partition, time.monotonic())
        if node is None:
            await asyncio.sleep(_PAUSE_S)
            await self._client.force_metadata_update()
            return
        asked = {partition: self._positions[partition] for partition in partitions if partition in self._positions}
        by_topic: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for partition, offset in asked.items():
            by_topic[partition.topic].append((partition.partition, offset, PIECE_BYTES))
        try:
            answer = await self._client.send(
                node, FetchRequest(self._wait_ms, 1, _ANSWER_BYTES, 0, list(by_topic.items()))
            )
        except KafkaError as error:
            logger.debug("a request to broker %s failed: %r", node, error)
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)
            await self._client.force_metadata_update()
            return
        self._pause = _PAUSE_S
        for topic, answers in answer.topics:
            for number, code, *_ in answers:
                if not code:
                    self._waiting.pop(TopicPartition(topic, number), None)
        for topic, answers in answer.topics:
            for number, code, end, *rest in answers:
                partition = TopicPartition(topic, number)
                await self._take(partition, asked[partition], code, end, rest[-1])

    async def _take(self, partition: TopicPartition, offset: int, code: int, end: int, data: bytes) -> None:
        if self._positions.get(partition) != offset or partition in self._taking:
            return  # it was sought elsewhere, or is left, since
        self._taking.add(partition)
        try:
            await self._use(partition, offset, code, end, data)
        finally:
            self._taking.discard(partition)

    async def _use(self, partition: TopicPartition, offset: int, code: int, end: int, data: bytes) -> None:
        if code:
            await self._stumble(partition, for_code(code))
            return
        try:
            records, after = _records(data, offset)
        except CorruptRecordException as error:
            logger.warning("%s at offset %d: %s", partition, offset, error)
            await asyncio.sleep(_PAUSE_S)
            return
        self._positions[partition] = after
        await self._deliver(partition, records, after, end)

    async def _stumble(self, partition: TopicPartition, kind: type[KafkaError]) -> None:
        if kind is OffsetOutOfRangeError:
            try:
                self._positions[partition] = await self._lost(partition)
            except (KafkaError, NotConnected) as error:
                if classify(error) not in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}:
                    raise
                logger.debug("%s: %r", partition, error)  # the next request meets it again
            return
        logger.debug("%s: %s", partition, kind.__name__)
        await asyncio.sleep(_PAUSE_S)
        await self._client.force_metadata_update()


def _records(data: bytes | None, offset: int) -> tuple[list[Record], int]:
    found: list[Record] = []
    batches = MemoryRecords(data or b"")
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException("a checksum doesn't hold")
        after = batch.next_offset
        if not batch.is_control_batch:
            found += _records_of(batch, offset)
        offset = max(offset, after)
    return found, offset


def _records_of(batch: Any, offset: int) -> list[Record]:
    try:
        # A batch may begin before the offset that was asked for.
        return [record for record in batch if record.offset >= offset]
    except UnicodeDecodeError as error:
        logger.warning("the records before offset %d can't be read: %s", batch.next_offset, error)
        return [Unreadable(batch.next_offset - 1, batch.max_timestamp)]
