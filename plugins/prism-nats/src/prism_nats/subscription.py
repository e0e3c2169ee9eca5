"""A set of topics one listens to on core NATS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from prism.slots.buffer import BufferedSubscription
from prism.slots.messaging import Publication, Received, Topic, TopicKind

from prism_nats import protocol
from prism_nats.buffer import LossyBuffer
from prism_nats.errors import ConnectionLost, ReplyTimeout
from prism_nats.link import Link
from prism_nats.parts import PART, Assembly
from prism_nats.subjects import Subjects

_PART = PART.encode()


class NatsSubscription(BufferedSubscription):
    """One NATS subscription for each topic, one buffer for all of them."""

    buffer: LossyBuffer

    def __init__(self, link: Link, subjects: Subjects, open_ones: set[NatsSubscription]) -> None:
        super().__init__(LossyBuffer())
        self._link = link
        self._subjects = subjects
        self._open_ones = open_ones
        self._ids: dict[Topic, int] = {}
        open_ones.add(self)
        link.on_back.add(self._reconnected)
        link.on_lost.add(self._disconnected)

    async def add(self, topics: Sequence[Topic]) -> None:
        """Listens to more topics. Raises InternalError on a closed subscription."""
        self.check_open()
        added = []
        try:
            for topic in dict.fromkeys(topics):
                if topic not in self._ids:
                    subject = self._subjects.topic(topic.kind, topic.name)
                    self._ids[topic] = await self._link.listen(subject, self._sink(topic))
                    added.append(topic)
            await self._link.barrier()
            self._link.check_listening(self._subjects.topic(topic.kind, topic.name) for topic in added)
        except BaseException:
            await self._leave(added)
            raise

    async def remove(self, topics: Sequence[Topic]) -> None:
        """Stops listening to some; what was published before is still delivered."""
        left = False
        try:
            if self._link.is_connected:
                await self._link.barrier()  # what the server took before comes in ahead of its answer
        finally:
            left = await self._leave(topics)
        if left and self._link.is_connected:
            await self._link.barrier()

    async def close(self) -> None:
        """Stops listening to everything; what nobody has read is dropped. Idempotent."""
        self.buffer.close()
        self._open_ones.discard(self)
        self._link.on_back.discard(self._reconnected)
        self._link.on_lost.discard(self._disconnected)
        with suppress(ConnectionLost, ReplyTimeout):  # without a connection there is nothing to end
            await self.remove(list(self._ids))

    async def _leave(self, topics: Sequence[Topic]) -> bool:
        ids = [self._ids.pop(topic) for topic in topics if topic in self._ids]
        for sid in ids:
            await self._link.leave(sid)
        return bool(ids)

    def _sink(self, topic: Topic) -> Callable[[bytes, bytes, bytes | None], None]:
        buffer, assembly = self.buffer, Assembly()

        def whole(_subject: bytes, data: bytes, block: bytes | None) -> None:
            buffer.put(Received(topic, Publication(data, protocol.unpack_headers(block))))

        def maybe_parts(subject: bytes, data: bytes, block: bytes | None) -> None:
            if block is None or _PART not in block:
                whole(subject, data, block)
                return
            publication = assembly.take(protocol.unpack_headers(block), data)
            if publication is not None:
                buffer.put(Received(topic, publication))

        return maybe_parts if topic.kind is TopicKind.INBOX else whole

    def _reconnected(self) -> None:
        if self._ids:
            self.buffer.connection_back()

    def _disconnected(self) -> None:
        if self._ids:
            self.buffer.connection_lost()
