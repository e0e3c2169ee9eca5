"""What the two slots have in common: the link, the namespace's topics, a tail, and what errors mean."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from aiokafka import TopicPartition
from prism.model.errors import InternalError
from prism.plugins.spec import Capability, SlotSpec
from prism.slots.context import Backend, Code, SlotContext
from prism.slots.optional import Measured

from prism_kafka import link as links
from prism_kafka.config import KafkaConfig
from prism_kafka.errors import Behind, classify
from prism_kafka.fetching import END, Record, Tail, offsets, read
from prism_kafka.link import Link
from prism_kafka.naming import Part, topic_of

logger = logging.getLogger(__name__)


SILENT_S: Final = 3.0
"""Seconds without an answer after which the brokers are taken to be away: an idle partition is answered every 0.5 s."""


class KafkaSlot(Measured, Backend):
    """A slot of one namespace. `_tail` reads what the slot follows, in a task that the slot owns."""

    spec: ClassVar[SlotSpec]
    wait: ClassVar[float]
    """Seconds that the tail's requests wait."""
    meanings: ClassVar[Mapping[str, str]] = {
        "brokers_answer": "Whether the brokers of all partitions that this slot reads answer (1) or not (0)."
    }

    def __init__(self, config: KafkaConfig, context: SlotContext) -> None:
        self._config = config
        self._context = context
        self._joined: Link | None = None
        self._following: Tail | None = None
        self._reading: asyncio.Task[None] | None = None
        self._partitions: dict[str, int] = {}

    @property
    def _link(self) -> Link:
        if self._joined is None:
            raise InternalError(f"{type(self).__name__} is not open; await open() first and don't use it after close()")
        return self._joined

    @property
    def _tail(self) -> Tail:
        if self._following is None:
            raise InternalError(f"{type(self).__name__} is not open; await open() first and don't use it after close()")
        if self._reading is not None and self._reading.done():
            cause = _cause(self._reading)
            raise Behind("this slot has stopped reading Kafka" + (f": {cause}" if cause else "")) from cause
        return self._following

    def _topic(self, part: Part) -> str:
        return topic_of(self._config.topic_prefix, self._context.namespace, part)

    async def open(self) -> None:
        """Connects, makes or checks the topics, and begins to read.

        Raises NotConnected where no broker answers for `connect_timeout`, InvalidConfig where topics aren't as they
        have to be.
        """
        if self._joined is None:
            self._joined = links.join(self._config)
        await self._joined.open()
        self._partitions = await self._ensure_topics()
        self._following = Tail(self._joined, self._deliver, self._lose, self.wait)
        await self._following.open(list(self._partitions))
        self._reading = asyncio.create_task(self._read(self._following))
        await self.check()

    async def close(self) -> None:
        """Ends the reading and leaves the link; the last slot that uses it ends its connections."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        tail, self._following = self._following, None
        if tail is not None:
            await tail.close()
        joined, self._joined = self._joined, None
        if joined is not None:
            await links.leave(self._config, joined)

    def gauges(self) -> dict[str, float]:
        """Whether the brokers answer."""
        return {"brokers_answer": float(self._is_heard())}

    def _is_heard(self) -> bool:
        tail, reading = self._following, self._reading
        return tail is not None and reading is not None and not reading.done() and tail.silence() < SILENT_S

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the plugin declares."""
        return self.spec.capabilities

    async def check(self) -> None:
        """Asks every leader for the ends of its partitions, and whether we may read there."""
        assert self._tail
        for topic, count in self._partitions.items():
            ends = await offsets(self._link, topic, range(count), END)
            await read(self._link, topic, 0, ends[0], 1)

    def classify(self, error: Exception) -> Code | None:
        """Says what an exception of ours or of aiokafka means."""
        return classify(error)

    @abstractmethod
    async def _ensure_topics(self) -> dict[str, int]:
        """Makes or checks the slot's topics; how many partitions each has."""

    @abstractmethod
    async def _deliver(self, partition: TopicPartition, records: Sequence[Record], after: int, end: int) -> None:
        """Takes what the tail has read."""

    @abstractmethod
    async def _lose(self, partition: TopicPartition) -> int:
        """Says where to go on in a partition whose next records are gone."""

    async def _read(self, tail: Tail) -> None:
        try:
            await tail.run()
        except Exception:
            logger.exception("%s of namespace %r stops reading", self.spec.slot, self._context.namespace)
            raise


def _cause(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
