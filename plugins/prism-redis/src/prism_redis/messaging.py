"""The messaging slot: Redis Pub/Sub, sharded where it is a cluster (design section 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

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

from prism_redis.batches import Batch, chunked
from prism_redis.concurrency import together
from prism_redis.envelope import Opener, seal
from prism_redis.errors import classify, failure, raise_errors
from prism_redis.keys import Partition, grouped, number_of
from prism_redis.listener import Channel, Ear, Listener
from prism_redis.plugin import MESSAGING
from prism_redis.scripts import script
from prism_redis.servers import Home, Servers
from prism_redis.slot import RedisSlot

PUBLISH: Final = script("publish")

CHANNELS: Final = 1_000
"""Channels in one call of the script, about a millisecond of the server's time."""
BYTES: Final = 8 * 1024 * 1024
"""Bytes that one call of it may make the server copy, if each channel has one subscriber."""
_FEW: Final = 3
"""Channels up to which plain commands are cheaper than the script."""

_SPELLED: Final = {TopicKind.INBOX: b":inbox:", TopicKind.IDENTITY: b":id:"}
_PUBLISHED: Final = tuple(Published(receivers) for receivers in range(256))


class RedisMessaging(RedisSlot, MessagingBackend):
    """Publications by Pub/Sub: at most once, to whoever is subscribed at that moment."""

    spec = MESSAGING

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._subscriptions: set[RedisSubscription] = set()

    async def publish(self, publication: Publication, topics: Sequence[Topic]) -> list[PublishOutcome]:
        """Publishes one payload to many topics; the outcomes carry exact receiver counts.

        The payload crosses the network once for up to 1,000 topics. What can't be published, because the node of
        a cluster that has the topic is down, is a Failure; where that is all, the call raises.
        """
        data = seal(publication)
        outcomes: list[PublishOutcome] = [_PUBLISHED[0]] * len(topics)
        batch = Batch(self._servers, PUBLISH, "publish", harmless=False)
        size = max(1, min(CHANNELS, BYTES // len(data)))
        failed: list[Exception] = []

        async def send(where: Partition, positions: Sequence[int]) -> None:
            chunks = chunked(positions, size)
            try:
                counts = await self._send(batch, where, chunks, data, topics)
            except Exception as error:
                if classify(error) is None:
                    raise
                failed.append(error)
                counts = [error] * len(chunks)
            for chunk, found in zip(chunks, counts, strict=True):
                if isinstance(found, Exception):
                    problem = failure(found, "publish")
                    for i in chunk:
                        outcomes[i] = problem
                    continue
                for i, count in zip(chunk, found, strict=False):  # an empty list stands for zeros
                    if count:
                        outcomes[i] = _PUBLISHED[count] if count < len(_PUBLISHED) else Published(count)

        groups = grouped([topic.name for topic in topics], len(self._partitions))
        await together(send(self._partitions[number], positions) for number, positions in groups.items())
        batch.finish()
        if failed and len(failed) == len(groups):
            raise failed[0]
        return outcomes

    async def subscribe(self) -> Subscription:
        """A new subscription to nothing yet; it ends with the slot at the latest."""
        subscription = RedisSubscription(self._servers, self._channel, self._config, self._subscriptions)
        self._subscriptions.add(subscription)
        return subscription

    async def close(self) -> None:
        """Closes the slot's subscriptions and leaves the connections."""
        for subscription in list(self._subscriptions):
            await subscription.close()
        await super().close()

    async def _send(
        self, batch: Batch, where: Partition, chunks: Sequence[Sequence[int]], data: bytes, topics: Sequence[Topic]
    ) -> list[Any]:
        """The counts of each chunk, or what went wrong."""
        command = "SPUBLISH" if self._config.cluster else "PUBLISH"
        names = [[where.tag + _SPELLED[topics[i].kind] + topics[i].name.encode() for i in chunk] for chunk in chunks]
        if len(names) == 1 and len(names[0]) <= _FEW:
            counts = await self._servers.call(where.slot, [(command, name, data) for name in names[0]])
            for count in counts:
                raise_errors(count)
            return [counts]
        return await batch.send(where, [(command, data, *chunk) for chunk in names])

    def _channel(self, topic: Topic) -> tuple[Partition, Channel]:
        where = self._partitions[number_of(topic.name, len(self._partitions))]
        return where, where.tag + _SPELLED[topic.kind] + topic.name.encode()


class RedisSubscription(BufferedSubscription, Ear):
    """A connection of its own to each server that has some of its topics, and a buffer for the one reader."""

    def __init__(
        self,
        servers: Servers,
        channel: Callable[[Topic], tuple[Partition, Channel]],
        config: Any,
        open_ones: set[RedisSubscription],
    ) -> None:
        super().__init__()
        self._servers = servers
        self._channel = channel
        self._config = config
        self._open_ones = open_ones
        self._listeners: dict[Home, Listener] = {}
        self._topics: dict[Channel, tuple[Topic, int]] = {}
        self._opener = Opener()

    async def add(self, topics: Sequence[Topic]) -> None:
        """Listens to more topics; returns when the servers have confirmed them.

        Raises InternalError on a closed subscription; ReplyTimeout, or what keeps it from connecting, after the
        configured timeout.
        """
        self.check_open()
        wanted: dict[Home, list[Channel]] = {}
        new = []
        for topic in dict.fromkeys(topics):
            where, channel = self._channel(topic)
            if channel not in self._topics:
                self._topics[channel] = (topic, where.slot)
                new.append(channel)
            wanted.setdefault(self._servers.home(where.slot), []).append(channel)
        try:
            await together(self._listener(home).add(channels) for home, channels in wanted.items())
        except BaseException:
            for channel in new:
                self._topics.pop(channel, None)
            raise

    async def remove(self, topics: Sequence[Topic]) -> None:
        """Stops listening to some; what was published before is still delivered."""
        channels = dict.fromkeys(self._channel(topic)[1] for topic in topics)
        known = [channel for channel in channels if channel in self._topics]
        try:
            await together(listener.remove(known) for listener in list(self._listeners.values()))
        finally:
            for channel in known:
                if not any(channel in listener.wanted for listener in self._listeners.values()):  # not added again
                    self._topics.pop(channel, None)

    async def close(self) -> None:
        """Stops listening to everything; returns when the servers no longer count us. Idempotent."""
        if self.buffer.is_closed():
            return
        self.buffer.close()
        self._open_ones.discard(self)
        listeners, self._listeners = self._listeners, {}
        for listener in listeners.values():
            await listener.close()

    def hear(self, heard: list[tuple[Channel, bytes]]) -> None:
        """Buffers publications."""
        topics, unseal = self._topics, self._opener.open
        self.buffer.put_all(Received(topics[channel][0], unseal(data)) for channel, data in heard if channel in topics)

    def missed(self, reason: str) -> None:
        """Buffers the mark of a loss."""
        self.buffer.interrupt(reason)

    async def find_again(self, listener: Listener) -> None:
        """Looks where the topics of a listener are now, and hands those that moved to the listener of that server."""
        try:
            await self._servers.refresh()
        except Exception as error:
            if classify(error) is None:
                raise
            return  # the listener tries again where it was
        for channel in list(listener.wanted):
            topic = self._topics.get(channel)
            home = listener.home if topic is None else self._servers.home(topic[1])
            if home != listener.home:
                del listener.wanted[channel]
                other = self._listener(home)
                other.interrupted("topics moved to another node of the cluster")
                other.adopt([channel])

    def _listener(self, home: Home) -> Listener:
        listener = self._listeners.get(home)
        if listener is None:
            connect, sharded = self._servers.connect(home), self._config.cluster
            listener = Listener(home, connect, self, self._config.timeout, sharded=sharded)
            self._listeners[home] = listener
        return listener
