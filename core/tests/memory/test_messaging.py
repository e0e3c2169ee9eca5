"""Messaging where it is the memory backend's own: full buffers, copies, and who may read."""

from __future__ import annotations

import asyncio

import pytest
from prism.memory.messaging import MemoryMessaging
from prism.model.errors import InternalError
from prism.slots.messaging import Interrupted, Publication, Published, Received, Topic, TopicKind

from .conftest import Open

ALICE = Topic(TopicKind.IDENTITY, "alice")
BOB = Topic(TopicKind.IDENTITY, "bob")


def shown(batch: list[Received | Interrupted]) -> list[bytes]:
    return [event.publication.payload if isinstance(event, Received) else b"interrupted" for event in batch]


async def test_full_buffer_drops_and_says_so_where_it_did(slot: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism.slots.buffer.MAX_EVENTS", 3)
    hub = await slot(MemoryMessaging)
    async with await hub.subscribe() as subscription:
        await subscription.add([ALICE])
        outcomes = [(await hub.publish(Publication(b"%d" % i), [ALICE]))[0] for i in range(5)]
        assert outcomes == [Published(1)] * 3 + [Published(0)] * 2
        assert shown(await anext(subscription)) == [b"0", b"1", b"2", b"interrupted"]
        await hub.publish(Publication(b"5"), [ALICE])
        assert shown(await anext(subscription)) == [b"5"]


async def test_buffer_is_bounded_by_bytes_too(slot: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism.slots.buffer.MAX_BYTES", 10)
    hub = await slot(MemoryMessaging)
    async with await hub.subscribe() as subscription:
        await subscription.add([ALICE])
        for payload in (b"12345678", b"123", b"12"):
            await hub.publish(Publication(payload), [ALICE])
        assert shown(await anext(subscription)) == [b"12345678", b"interrupted", b"12"]


async def test_one_payload_on_many_topics_takes_its_bytes_once(slot: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism.slots.buffer.MAX_BYTES", 10)
    hub = await slot(MemoryMessaging)
    async with await hub.subscribe() as subscription:
        await subscription.add([ALICE, BOB])
        await hub.publish(Publication(b"12345678"), [ALICE, BOB])
        assert shown(await anext(subscription)) == [b"12345678", b"12345678"]


async def test_subscriber_that_does_not_read_costs_others_nothing(slot: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prism.slots.buffer.MAX_EVENTS", 10)
    hub = await slot(MemoryMessaging)
    async with await hub.subscribe() as stuck, await hub.subscribe() as reader:
        await stuck.add([ALICE])
        await reader.add([ALICE])
        found = []
        for i in range(50):
            await hub.publish(Publication(b"%d" % i), [ALICE])
            found += shown(await anext(reader))
        assert found == [b"%d" % i for i in range(50)]
        assert len(await anext(stuck)) == 11


async def test_headers_changed_after_publishing_arrive_as_they_were(slot: Open) -> None:
    hub = await slot(MemoryMessaging)
    headers = {"id": "1"}
    async with await hub.subscribe() as subscription:
        await subscription.add([ALICE])
        await hub.publish(Publication(b"x", headers), [ALICE])
        headers["id"] = "2"
        [event] = await anext(subscription)
        assert event.publication.headers == {"id": "1"}


async def test_second_reader_is_refused(slot: Open) -> None:
    hub = await slot(MemoryMessaging)
    async with await hub.subscribe() as subscription:
        waiting = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        with pytest.raises(InternalError, match="reader"):
            await anext(subscription)
        waiting.cancel()


async def test_closed_subscription_takes_no_topics(slot: Open) -> None:
    hub = await slot(MemoryMessaging)
    subscription = await hub.subscribe()
    await subscription.close()
    with pytest.raises(InternalError, match="closed"):
        await subscription.add([ALICE])


async def test_closed_subscriptions_leave_nothing_behind(slot: Open) -> None:
    hub = await slot(MemoryMessaging)
    for i in range(100):
        async with await hub.subscribe() as subscription:
            await subscription.add([ALICE, Topic(TopicKind.INBOX, f"inbox-{i}")])
    assert hub._subscriptions == set()
    assert [len(names) for names in hub._part._listeners.values()] == [0, 0]
