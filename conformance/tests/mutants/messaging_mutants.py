"""Faults of messaging: topics, order, counts, loss."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
from prism.memory.messaging import Hub, MemoryMessaging, MemorySubscription
from prism.memory.store import Store
from prism.slots.buffer import Buffer
from prism.slots.messaging import Interrupted, Publication, Published, Received, Topic, TopicKind

from .running import messaging

MP = pytest.MonkeyPatch


@messaging("MSG-010")
def headers_are_dropped(patch: MP) -> None:
    original = Hub.publish
    patch.setattr(Hub, "publish", lambda self, item, topics: original(self, Publication(item.payload), topics))


@messaging("MSG-012")
def inbox_and_identity_are_one_topic(patch: MP) -> None:
    original = Hub.publish

    def publish(self: Any, item: Any, topics: Any) -> Any:
        outcomes = original(self, item, topics)
        for topic in topics:
            for subscription in self._listeners[TopicKind.INBOX].get(topic.name, {}):
                if topic.kind is TopicKind.IDENTITY:
                    subscription.buffer.put(Received(topic, item))
        return outcomes

    patch.setattr(Hub, "publish", publish)


@messaging("MSG-013", "MSG-011", "MSG-015", "MSG-017", "MSG-021", "MSG-025")
def subscription_begins_a_little_later(patch: MP) -> None:
    original = Hub.listen

    def listen(self: Any, topic: Any, subscription: Any) -> None:
        def later() -> None:
            if topic in subscription._topics:
                original(self, topic, subscription)

        if topic.kind is TopicKind.IDENTITY and topic.name.startswith(("user-1", "bob")) and len(topic.name) < 8:
            asyncio.get_running_loop().call_soon(later)
        else:
            original(self, topic, subscription)

    def leave(self: Any, topic: Any, subscription: Any) -> None:
        self._listeners[topic.kind].get(topic.name, {}).pop(subscription, None)

    patch.setattr(Hub, "listen", listen)
    patch.setattr(Hub, "leave", leave)


@messaging("MSG-014", "MSG-013", "MSG-022", "MSG-025", "MSG-030", "MSG-044")
def only_the_last_publication_waits_for_the_reader(patch: MP) -> None:
    original = Buffer.put

    def put(self: Any, event: Any) -> bool:
        self._events = [] if len(self._events) > 10 else self._events
        return bool(original(self, event))

    patch.setattr(Buffer, "put", put)


@messaging("MSG-015", "MSG-016", "MSG-021")
def removed_topic_still_arrives(patch: MP) -> None:
    async def remove(self: Any, topics: Any) -> None:
        if self.buffer.is_closed():
            await original(self, topics)

    original = MemorySubscription.remove
    patch.setattr(MemorySubscription, "remove", remove)


@messaging("MSG-016")
def topic_added_twice_stays_after_one_removal(patch: MP) -> None:
    add, remove = MemorySubscription.add, MemorySubscription.remove

    async def add_(self: Any, topics: Any) -> None:
        self.__dict__.setdefault("twice", set()).update(set(topics) & self._topics)
        await add(self, topics)

    async def remove_(self: Any, topics: Any) -> None:
        twice = set() if self.buffer.is_closed() else self.__dict__.get("twice", set())
        await remove(self, [topic for topic in topics if topic not in twice])

    patch.setattr(MemorySubscription, "add", add_)
    patch.setattr(MemorySubscription, "remove", remove_)


@messaging("MSG-020")
def outcomes_end_after_two_thousand(patch: MP) -> None:
    original = Hub.publish
    patch.setattr(Hub, "publish", lambda self, item, topics: original(self, item, topics)[:2_000])


@messaging("MSG-021")
def receivers_are_counted_as_one(patch: MP) -> None:
    original = Hub.publish

    def publish(self: Any, item: Any, topics: Any) -> Any:
        return [Published(min(1, outcome.receivers)) for outcome in original(self, item, topics)]

    patch.setattr(Hub, "publish", publish)


@messaging("MSG-022")
def every_hundredth_publication_overtakes(patch: MP) -> None:
    original = Buffer.put

    def put(self: Any, event: Any) -> bool:
        taken = bool(original(self, event))
        if len(self._events) % 300 == 0:
            self._events[-2:] = reversed(self._events[-2:])
        return taken

    patch.setattr(Buffer, "put", put)


@messaging("MSG-024", "MSG-021", "MSG-044")
def only_one_subscriber_of_a_topic_gets_it(patch: MP) -> None:
    original = Hub.publish

    def publish(self: Any, item: Any, topics: Any) -> Any:
        everybody = self._listeners
        self._listeners = {
            kind: {name: dict([next(iter(listeners.items()))]) for name, listeners in names.items()}
            for kind, names in everybody.items()
        }
        try:
            return original(self, item, topics)
        finally:
            self._listeners = everybody

    patch.setattr(Hub, "publish", publish)


@messaging("MSG-026")
def payload_is_cut_before_a_mebibyte(patch: MP) -> None:
    original = Hub.publish

    def publish(self: Any, item: Any, topics: Any) -> Any:
        return original(self, replace(item, payload=item.payload[: 2**20 - 1]), topics)

    patch.setattr(Hub, "publish", publish)


@messaging("MSG-030")
def topics_are_normalised(patch: MP) -> None:
    original = Hub.publish

    def publish(self: Any, item: Any, topics: Any) -> Any:
        normal = [Topic(topic.kind, unicodedata.normalize("NFC", topic.name)) for topic in topics]
        return original(self, item, normal)

    patch.setattr(Hub, "publish", publish)


@messaging("MSG-030")
def topics_of_names_that_differ_in_case_are_one(patch: MP) -> None:
    listen, leave, publish = Hub.listen, Hub.leave, Hub.publish

    def first(hub: Any, topic: Topic) -> Topic:
        spellings = hub.__dict__.setdefault("spellings", {})
        return Topic(topic.kind, spellings.setdefault(topic.name.lower(), topic.name))

    def leave_(self: Any, topic: Any, subscription: Any) -> None:
        if subscription in self._listeners[topic.kind].get(first(self, topic).name, ()):
            leave(self, first(self, topic), subscription)

    def publish_(self: Any, item: Any, topics: Any) -> Any:
        return publish(self, item, [first(self, topic) for topic in topics])

    patch.setattr(Hub, "listen", lambda self, topic, subscription: listen(self, first(self, topic), subscription))
    patch.setattr(Hub, "leave", leave_)
    patch.setattr(Hub, "publish", publish_)


@messaging("MSG-033")
def namespaces_that_differ_in_case_are_one(patch: MP) -> None:
    original = Store.part
    patch.setattr(Store, "part", lambda self, kind, name, make: original(self, kind, name.lower(), make))


@messaging("MSG-031", "MSG-030")
def wildcards_match(patch: MP) -> None:
    original = Hub.publish

    def publish(self: Any, item: Any, topics: Any) -> Any:
        outcomes = original(self, item, topics)
        for topic in topics:
            for name, listeners in list(self._listeners[topic.kind].items()):
                if name != topic.name and topic.kind is TopicKind.IDENTITY and fnmatchcase(topic.name, name):
                    for subscription in listeners:
                        subscription.buffer.put(Received(topic, item))
        return outcomes

    patch.setattr(Hub, "publish", publish)


@messaging("MSG-032")
def namespaces_are_prefixes(patch: MP) -> None:
    original = Store.part
    patch.setattr(Store, "part", lambda self, kind, name, make: original(self, kind, name.removesuffix(".b"), make))


@messaging("MSG-033")
def namespaces_are_normalised(patch: MP) -> None:
    original = Store.part

    def part(self: Any, kind: Any, name: str, make: Any) -> Any:
        return original(self, kind, unicodedata.normalize("NFC", name), make)

    patch.setattr(Store, "part", part)


@messaging("MSG-040")
def closing_leaves_the_reader_waiting(patch: MP) -> None:
    original = MemorySubscription.close

    async def close(self: Any) -> None:
        with patch.context() as deaf:
            deaf.setattr(self.buffer, "_wake", lambda: None)
            await original(self)
        self.buffer._closed = False

    async def close_slot(self: Any) -> None:
        for subscription in list(self._subscriptions):
            await original(subscription)
        await close_it(self)

    close_it = MemoryMessaging.close
    patch.setattr(MemorySubscription, "close", close)
    patch.setattr(MemoryMessaging, "close", close_slot)


@messaging("MSG-041")
def closed_subscription_still_listens(patch: MP) -> None:
    original = MemorySubscription.close

    async def close(self: Any) -> None:
        kept = set(self._topics)
        await original(self)
        ghost = MemorySubscription(self._hub, set())
        for topic in kept:
            self._hub.listen(topic, ghost)

    patch.setattr(MemorySubscription, "close", close)


@messaging("MSG-042")
def closed_slot_leaves_its_subscriptions_open(patch: MP) -> None:
    original = MemoryMessaging.close

    async def close(self: Any) -> None:
        self._subscriptions.clear()
        await original(self)

    patch.setattr(MemoryMessaging, "close", close)


@messaging("MSG-043")
def cancelled_reader_stays_in_its_place(patch: MP) -> None:
    original = Buffer.take

    async def take(self: Any) -> Any:
        try:
            return await original(self)
        except asyncio.CancelledError:
            self._reader = asyncio.get_running_loop().create_future()
            raise

    patch.setattr(Buffer, "take", take)


@messaging("MSG-044")
def overflow_is_silent(patch: MP) -> None:
    patch.setattr("prism.slots.buffer.MAX_EVENTS", 1_500)
    original = MemorySubscription.__anext__

    async def anext_(self: Any) -> Any:
        return [event for event in await original(self) if not isinstance(event, Interrupted)]

    def overflow(self: Any) -> None:
        self._events[-1:] = []

    patch.setattr(Buffer, "_overflow", overflow)
    patch.setattr(MemorySubscription, "__anext__", anext_)
