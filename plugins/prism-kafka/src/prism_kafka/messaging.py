"""The messaging slot: publications as keyed records, read from the end without consumer groups."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from prism.model.errors import InvalidArgument, InvalidConfig, Violation
from prism.model.time import SECOND, Micros
from prism.slots.buffer import BufferedSubscription
from prism.slots.messaging import (
    MessagingBackend,
    Publication,
    Published,
    PublishOutcome,
    Received,
    Subscription,
    Topic,
    TopicKind,
)

from prism_kafka import topics
from prism_kafka.errors import NoAnswer, NotConnected, failure
from prism_kafka.fetching import END, Record, offsets
from prism_kafka.link import answered
from prism_kafka.naming import Part, partition_of
from prism_kafka.plugin import MESSAGING
from prism_kafka.slot import KafkaSlot

logger = logging.getLogger(__name__)

INBOX_RETENTION: Final[Micros] = 600 * SECOND
"""How long frames between proxies are kept: a proxy that is cut off for longer has missed some, and says so."""

_PARTS: Final = {TopicKind.INBOX: Part.INBOX, TopicKind.IDENTITY: Part.IDENTITY}
_TAKEN: Final = Published()
_FAILURES: Final = (KafkaError, NoAnswer, NotConnected)


class KafkaSubscription(BufferedSubscription):
    """Topics, the partitions they are in, and a buffer for the reader."""

    def __init__(self, slot: KafkaMessaging) -> None:
        super().__init__()
        self._slot = slot
        self._topics: set[Topic] = set()
        self._changing = asyncio.Lock()

    async def add(self, topics: Sequence[Topic]) -> None:
        """Listens to more topics. Raises InternalError on a closed subscription."""
        async with self._changing:
            self.check_open()
            fresh = list(dict.fromkeys(topic for topic in topics if topic not in self._topics))
            await self._slot.listen(self, fresh)
            if self.buffer.is_closed():  # meanwhile
                self._slot.leave(self, fresh)
            else:
                self._topics.update(fresh)

    async def remove(self, topics: Sequence[Topic]) -> None:
        """Stops listening to some; what was published before is still delivered, as long as the brokers answer."""
        async with self._changing:
            await self._slot.catch_up([topic for topic in topics if topic in self._topics])
            gone = [topic for topic in topics if topic in self._topics]  # none where it was closed meanwhile
            self._topics.difference_update(gone)
            self._slot.leave(self, dict.fromkeys(gone))

    async def close(self) -> None:
        """Stops listening to everything; what nobody has read is dropped. Idempotent."""
        self._slot.leave(self, list(self._topics))
        self._slot.forget(self)
        self._topics.clear()
        self.buffer.close()


class KafkaMessaging(KafkaSlot, MessagingBackend):
    """A proxy's tail reads only the partitions that its topics are in; keys tell them apart."""

    spec = MESSAGING
    wait = 0.1

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._names = {kind: self._topic(part) for kind, part in _PARTS.items()}
        self._kinds = {name: kind for kind, name in self._names.items()}
        self._subscriptions: set[KafkaSubscription] = set()
        self._listeners: defaultdict[TopicPartition, dict[bytes, dict[KafkaSubscription, Topic]]] = defaultdict(dict)
        self._adding = asyncio.Lock()
        self._progress = asyncio.Condition()
        """Notified whenever something has been read."""

    async def close(self) -> None:
        """Closes the slot's subscriptions and leaves the link."""
        for subscription in list(self._subscriptions):
            await subscription.close()
        await super().close()

    async def check(self) -> None:
        """Also whether topics have the partitions that they had: with more, other proxies listen elsewhere."""
        await super().check()
        for topic, count in (await self._link.follow(list(self._partitions))).items():
            if count != (known := self._partitions[topic]):
                text = f"topic {topic} had {known} and has {count} now; restart all proxies"
                raise InvalidConfig(f"partitions: {text}", violations=(Violation("partitions", text),))

    async def publish(self, publication: Publication, topics: Sequence[Topic]) -> list[PublishOutcome]:
        """Publishes one payload to many topics; all replicas have a record when its outcome is Published."""
        headers = _encoded(publication.headers)
        by_partition: defaultdict[TopicPartition, list[int]] = defaultdict(list)
        for i, topic in enumerate(topics):
            by_partition[self._place(topic)].append(i)
        outcomes: list[PublishOutcome] = [_TAKEN] * len(topics)

        async def store(partition: TopicPartition, items: Sequence[int]) -> None:
            keys = [topics[i].name.encode() for i in items]
            stored = 0
            try:
                async for count in self._store(partition, keys, publication.payload, headers):
                    stored += count
            except _FAILURES as error:
                outcome = failure(error, "publish")
                for i in items[stored:]:
                    outcomes[i] = outcome

        if len(by_partition) == 1:
            [(partition, items)] = by_partition.items()
            await store(partition, items)
        else:
            async with asyncio.TaskGroup() as tasks:
                for partition, items in by_partition.items():
                    tasks.create_task(store(partition, items))
        return outcomes

    async def subscribe(self) -> Subscription:
        """A new subscription to nothing yet; it ends with the slot at the latest."""
        assert self._tail
        subscription = KafkaSubscription(self)
        self._subscriptions.add(subscription)
        return subscription

    async def listen(self, subscription: KafkaSubscription, topics: Sequence[Topic]) -> None:
        """Hands a subscription what comes in on topics. Nothing is missed from the moment this returns."""
        places = {topic: self._place(topic) for topic in topics}
        async with self._adding:  # so that a partition's end is looked up once, before anybody relies on it
            missing: defaultdict[str, list[int]] = defaultdict(list)
            for place in dict.fromkeys(places.values()):
                if not self._tail.reads(place):
                    missing[place.topic].append(place.partition)
            for name, partitions in missing.items():
                ends = await offsets(self._link, name, partitions, END)
                self._tail.seek({TopicPartition(name, partition): end for partition, end in ends.items()})
            for topic, place in places.items():
                self._listeners[place].setdefault(topic.name.encode(), {})[subscription] = topic

    async def catch_up(self, topics: Sequence[Topic]) -> None:
        """Waits until all that has been published to topics by now is read; no longer than a request may take."""
        partitions: defaultdict[str, set[int]] = defaultdict(set)
        for topic in topics:
            place = self._place(topic)
            partitions[place.topic].add(place.partition)
        try:
            async with asyncio.timeout(self._config.request_timeout):
                for name, numbers in partitions.items():
                    ends = await offsets(self._link, name, sorted(numbers), END)
                    for number, end in ends.items():
                        await self._read_until(TopicPartition(name, number), end)
        except (TimeoutError, *_FAILURES) as error:
            logger.debug("not all that was published before topics were removed could be read: %r", error)

    async def _read_until(self, place: TopicPartition, end: int) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: self._following is None or self._following.has_read(place, end))

    def leave(self, subscription: KafkaSubscription, topics: Iterable[Topic]) -> None:
        """Hands a subscription no more of topics; a partition that nobody listens to is read no more."""
        for topic in topics:
            place, key = self._place(topic), topic.name.encode()
            listeners = self._listeners[place][key]
            del listeners[subscription]
            if not listeners:
                del self._listeners[place][key]
            if not self._listeners[place]:
                del self._listeners[place]
                if self._following is not None:
                    self._following.leave(place)

    def forget(self, subscription: KafkaSubscription) -> None:
        """Notes that a subscription is closed."""
        self._subscriptions.discard(subscription)

    async def _ensure_topics(self) -> dict[str, int]:
        kept = {
            TopicKind.INBOX: min(INBOX_RETENTION, self._config.retention),
            TopicKind.IDENTITY: self._config.retention,
        }
        plans = [topics.publications(name, self._config, kept[kind]) for kind, name in self._names.items()]
        return await topics.ensure(self._link, plans)

    async def _deliver(self, partition: TopicPartition, records: Sequence[Record], after: int, end: int) -> None:
        del after, end
        listeners = self._listeners.get(partition, {})
        for record in records:
            found = listeners.get(record.key)
            if found is None:
                continue  # another proxy's, or nobody's
            headers = {name: value.decode("latin-1") for name, value in record.headers if value is not None}
            publication = Publication(record.value or b"", headers)
            for subscription, topic in found.items():
                subscription.buffer.put(Received(topic, publication))
        async with self._progress:
            self._progress.notify_all()

    async def _lose(self, partition: TopicPartition) -> int:
        """Goes on at the end, and tells those who listen there."""
        reason = f"Kafka has removed records of {partition.topic} before they were read here"
        for subscription in {found for listeners in self._listeners[partition].values() for found in listeners}:
            subscription.buffer.interrupt(reason)
        return (await offsets(self._link, partition.topic, [partition.partition], END))[partition.partition]

    def _place(self, topic: Topic) -> TopicPartition:
        name = self._names[topic.kind]
        return TopicPartition(name, partition_of(topic.name, self._partitions[name]))

    async def _store(
        self, partition: TopicPartition, keys: Sequence[bytes], payload: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> AsyncIterator[int]:
        """Stores one payload under many keys of a partition, batch by batch; yields how many each has stored."""
        if len(payload) > self._config.max_message_bytes:
            raise MessageSizeTooLargeError(
                f"{len(payload):,} bytes are over the {self._config.max_message_bytes:,} allowed"
            )
        seconds = self._config.request_timeout
        if len(keys) == 1:
            stored = await self._link.store(partition.topic, partition.partition, payload, keys[0], headers)
            await answered(stored, seconds, "a publication")
            yield 1
            return
        waiting = iter(keys)
        key = next(waiting, None)
        while key is not None:
            batch = (await self._link.producer()).create_batch()
            count = 0
            while key is not None and batch.append(timestamp=None, key=key, value=payload, headers=headers) is not None:
                count += 1
                key = next(waiting, None)
            batch.close()
            stored = await self._link.store_batch(partition.topic, partition.partition, batch)
            await answered(stored, seconds, "a publication")
            yield count


def _encoded(headers: Mapping[str, str]) -> list[tuple[str, bytes]]:
    for name, value in headers.items():
        if not (name and name.isascii() and value.isascii()):
            raise InvalidArgument.at(f"headers.{name}", "must be printable ASCII, and its name not empty")
    return [(name, value.encode()) for name, value in headers.items()]
