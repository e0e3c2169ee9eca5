"""The messaging slot: publications between the coordinators of one process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from prism.memory.plugin import MESSAGING
from prism.memory.store import MemorySlot, Store
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

if TYPE_CHECKING:
    from prism.memory.config import MemoryConfig
    from prism.slots.context import SlotContext

_PUBLISHED: Final = tuple(Published(receivers) for receivers in range(256))


class Hub:
    """Who listens to what in one namespace."""

    def __init__(self) -> None:
        self._listeners: dict[TopicKind, dict[str, dict[MemorySubscription, None]]] = {kind: {} for kind in TopicKind}

    def listen(self, topic: Topic, subscription: MemorySubscription) -> None:
        """Adds a listener."""
        self._listeners[topic.kind].setdefault(topic.name, {})[subscription] = None

    def leave(self, topic: Topic, subscription: MemorySubscription) -> None:
        """Takes a listener away that is there."""
        names = self._listeners[topic.kind]
        del names[topic.name][subscription]
        if not names[topic.name]:
            del names[topic.name]

    def publish(self, publication: Publication, topics: Sequence[Topic]) -> list[PublishOutcome]:
        """Hands the publication to every listener's buffer and counts those that had room."""
        inboxes, identities = self._listeners[TopicKind.INBOX], self._listeners[TopicKind.IDENTITY]
        outcomes: list[PublishOutcome] = []
        for topic in topics:
            listeners = (inboxes if topic.kind is TopicKind.INBOX else identities).get(topic.name)
            receivers = 0
            if listeners is not None:
                event = Received(topic, publication)
                for subscription in listeners:
                    receivers += subscription.buffer.put(event)
            outcomes.append(_PUBLISHED[receivers] if receivers < len(_PUBLISHED) else Published(receivers))
        return outcomes


class MemorySubscription(BufferedSubscription):
    """Topics at the hub, which puts what is published straight into the buffer."""

    def __init__(self, hub: Hub, open_ones: set[MemorySubscription]) -> None:
        super().__init__()
        self._hub = hub
        self._open_ones = open_ones
        open_ones.add(self)
        self._topics: set[Topic] = set()

    async def add(self, topics: Sequence[Topic]) -> None:
        """Listens to more topics. Raises InternalError on a closed subscription."""
        self.check_open()
        for topic in topics:
            if topic not in self._topics:
                self._topics.add(topic)
                self._hub.listen(topic, self)

    async def remove(self, topics: Sequence[Topic]) -> None:
        """Stops listening to some; what has come in already is still delivered."""
        for topic in topics:
            if topic in self._topics:
                self._topics.remove(topic)
                self._hub.leave(topic, self)

    async def close(self) -> None:
        """Stops listening to everything; what nobody has read is dropped. Idempotent."""
        self.buffer.close()
        self._open_ones.discard(self)
        await self.remove(list(self._topics))


class MemoryMessaging(MemorySlot[Hub], MessagingBackend):
    """Publish and subscribe in this process. A publication is in every listener's buffer when `publish` returns."""

    spec = MESSAGING

    def __init__(self, config: MemoryConfig, context: SlotContext) -> None:
        super().__init__(config, context)
        self._subscriptions: set[MemorySubscription] = set()

    def _join_part(self, store: Store, context: SlotContext) -> Hub:
        return store.part(Hub, context.namespace, Hub)

    async def publish(self, publication: Publication, topics: Sequence[Topic]) -> list[PublishOutcome]:
        """Publishes one payload to many topics; the outcomes carry exact receiver counts."""
        headers = dict(publication.headers)  # the caller's own mapping may change before it is read
        return self._part.publish(Publication(publication.payload, headers), topics)

    async def subscribe(self) -> Subscription:
        """A new subscription to nothing yet; it ends with the slot at the latest."""
        return MemorySubscription(self._part, self._subscriptions)

    async def close(self) -> None:
        """Closes the slot's subscriptions and leaves the store."""
        for subscription in list(self._subscriptions):
            await subscription.close()
        await super().close()
