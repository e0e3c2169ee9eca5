"""Messaging beyond the contract: native listeners, large payloads, no listeners, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import nats
import pytest
from prism.model.errors import LimitExceeded
from prism.slots.context import Code, Failure
from prism.slots.messaging import Interrupted, Publication, Published, Received, Topic, TopicKind
from prism_conformance.servers import Server
from prism_nats.errors import ConnectionLost, ReplyTimeout

from .conftest import Slots, Until, flushed

MEBIBYTE = 1024 * 1024


def identity(name: str) -> Topic:
    return Topic(TopicKind.IDENTITY, name)


def inbox(name: str) -> Topic:
    return Topic(TopicKind.INBOX, name)


async def test_plain_nats_subscriber_receives_payload_and_headers(nats_server: Server, slots: Slots) -> None:
    slot = await slots.messaging(nats_server)
    client = await nats.connect(nats_server.url)
    subscription = await client.subscribe(f"{nats_server.scope}.room.to.a%2Eb")
    await flushed(client)
    publication = Publication(b"payload", {"Prism-Message-Id": "m1", "Content-Type": "text/plain"})
    assert await slot.publish(publication, [identity("a.b"), identity("a")]) == [Published(), Published(0)]
    message = await subscription.next_msg(timeout=5)
    assert (message.data, message.headers) == (b"payload", dict(publication.headers))
    await client.close()


async def test_wildcard_subscriber_hears_every_identity_of_the_namespace(nats_server: Server, slots: Slots) -> None:
    slot = await slots.messaging(nats_server)
    client = await nats.connect(nats_server.url)
    subscription = await client.subscribe(f"{nats_server.scope}.room.to.*")
    await flushed(client)
    names = [f"user {i}" for i in range(100)]
    outcomes = await slot.publish(Publication(b"x"), [identity(name) for name in names])
    assert outcomes == [Published()] * 100
    heard = [(await subscription.next_msg(timeout=5)).subject for _ in names]
    assert heard == [f"{nats_server.scope}.room.to.user%20{i}" for i in range(100)]
    await client.close()


async def test_topics_without_a_listener_are_known_to_have_none(nats_server: Server, slots: Slots) -> None:
    slot = await slots.messaging(nats_server)
    topics = [identity(f"user-{i}") for i in range(5_000)]
    async with await slot.subscribe() as subscription:
        await subscription.add(topics[::7])
        outcomes = await slot.publish(Publication(b"x"), topics)
    assert [outcome.receivers for outcome in outcomes if isinstance(outcome, Published)] == [
        None if i % 7 == 0 else 0 for i in range(5_000)
    ]


async def test_listener_on_another_node_of_a_cluster_is_known(nats_cluster: Server, slots: Slots, until: Until) -> None:
    slot = await slots.messaging(nats_cluster)
    clients = [await nats.connect(node.url) for node in nats_cluster.nodes]
    for i, client in enumerate(clients):
        await client.subscribe(f"{nats_cluster.scope}.room.to.node-{i}")
        await flushed(client)
    topics = [identity("nobody"), *(identity(f"node-{i}") for i in range(3))]

    async def all_known() -> bool:
        return await slot.publish(Publication(b"x"), topics) == [Published(0), *[Published()] * 3]

    await until(all_known)
    for client in clients:
        await client.close()


@pytest.mark.parametrize("size", [0, MEBIBYTE, 5 * MEBIBYTE])
async def test_frame_of_any_size_reaches_an_inbox_whole(nats_server: Server, slots: Slots, size: int) -> None:
    slot = await slots.messaging(nats_server)
    publication = Publication(bytes(i % 251 for i in range(1_000)) * (size // 1_000 + 1), {"a": "b"})
    publication = Publication(publication.payload[:size], {"a": "b"})
    async with await slot.subscribe() as subscription:
        await subscription.add([inbox("proxy")])
        assert await slot.publish(publication, [inbox("proxy"), inbox("nobody")]) == [Published(), Published(0)]
        batch = await anext(aiter(subscription))
    assert batch == [Received(inbox("proxy"), publication)]


async def test_identity_is_refused_what_no_message_can_carry(nats_server: Server, slots: Slots) -> None:
    slot = await slots.messaging(nats_server)
    (outcome,) = await slot.publish(Publication(bytes(MEBIBYTE), {"a": "b"}), [identity("alice")])
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, LimitExceeded)
    assert "max_payload of 1,048,576" in outcome.error.message


async def test_identity_hears_a_mebibyte_from_a_server_that_carries_two(
    start_server: Callable[..., Server], slots: Slots
) -> None:
    server = await asyncio.to_thread(start_server, "nats", config={"max_payload": "2MB"})
    slot = await slots.messaging(server)
    client = await nats.connect(server.url)
    subscription = await client.subscribe(f"{server.scope}.room.to.alice")
    await flushed(client)
    assert await slot.publish(Publication(bytes(MEBIBYTE), {"a": "b"}), [identity("alice")]) == [Published()]
    assert (await subscription.next_msg(timeout=5)).data == bytes(MEBIBYTE)
    await client.close()


async def test_slots_with_equal_options_share_a_connection(nats_server: Server, slots: Slots) -> None:
    one, other = await slots.messaging(nats_server), await slots.durability(nats_server)
    assert one._link is other._parts.link
    await one.close()
    await other.check()


async def test_subscription_outlasts_a_restart_and_tells_of_it(
    start_server: Callable[..., Server], slots: Slots, until: Until
) -> None:
    server = await asyncio.to_thread(start_server, "nats")
    slot = await slots.messaging(server, reconnect={"wait": 0.05})
    async with await slot.subscribe() as subscription:
        await subscription.add([identity("alice")])
        await asyncio.to_thread(server.kill)
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await slot.publish(Publication(b"lost"), [identity("alice")])
        assert slot.classify(caught.value) in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}
        await asyncio.to_thread(server.restart)
        events = list(await anext(aiter(subscription)))
        assert isinstance(events[0], Interrupted)
        assert await slot.publish(Publication(b"after"), [identity("alice")]) == [Published()]
        batch = await anext(aiter(subscription))
        assert [event.publication.payload for event in batch if isinstance(event, Received)] == [b"after"]


async def test_connection_given_up_after_the_attempts_that_are_allowed_fails_calls_and_a_new_slot_has_a_new_one(
    start_server: Callable[..., Server], slots: Slots, until: Until
) -> None:
    server = await asyncio.to_thread(start_server, "nats")
    slot = await slots.messaging(server, reconnect={"wait": 0.02, "attempts": 2})
    link = slot._link
    await asyncio.to_thread(server.kill)

    async def is_over() -> bool:
        return link.is_over

    await until(is_over, 10)
    await asyncio.to_thread(server.restart)
    for call in (slot.check(), slot.publish(Publication(b"x"), [identity("alice")])):
        with pytest.raises(ConnectionLost) as caught:
            await call
        assert slot.classify(caught.value) is Code.UNAVAILABLE
    again = await slots.messaging(server, reconnect={"wait": 0.02, "attempts": 2})
    await again.check()


async def test_subscription_that_is_not_read_reports_what_it_dropped(
    nats_server: Server, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prism.slots.buffer.MAX_EVENTS", 10)
    slot = await slots.messaging(nats_server)
    async with await slot.subscribe() as slow, await slot.subscribe() as quick:
        await slow.add([identity("alice")])
        await quick.add([identity("bob")])
        await slot.publish(Publication(b"x"), [identity("alice")] * 25 + [identity("bob")])
        await quick.add([])
        events = list(await anext(aiter(slow)))
        assert [type(event) for event in events] == [Received] * 10 + [Interrupted]
        assert len(await anext(aiter(quick))) == 1


@pytest.mark.parametrize("dies", ["sender's", "receiver's"])
async def test_node_that_dies_in_the_middle_is_replaced_by_another_and_the_gap_is_told(
    start_server: Callable[..., Server], slots: Slots, until: Until, dies: str
) -> None:
    cluster = await asyncio.to_thread(start_server, "nats_cluster")
    quick = {"reconnect": {"wait": 0.05}, "timeout": 4}
    sender = await slots.messaging(cluster, servers=(cluster.nodes[0].url,), **quick)
    receiver = await slots.messaging(cluster, servers=(cluster.nodes[1].url,), **quick)
    topics = [inbox("proxy"), *(identity(f"user-{i}") for i in range(200))]
    sent: list[bytes] = []

    async def publish() -> bool:
        payload = b"%d" % len(sent)
        sent.append(payload)
        try:
            outcomes = await sender.publish(Publication(payload), topics)
        except (ConnectionLost, ReplyTimeout):
            return False
        return outcomes == [Published(), *[Published(0)] * 200]

    async with await receiver.subscribe() as subscription:
        await subscription.add(topics[:1])
        await until(publish)
        dying = asyncio.create_task(asyncio.to_thread(cluster.kill, node=0 if dies == "sender's" else 1))
        while not dying.done():
            await publish()
            await asyncio.sleep(0)
        await dying
        found: list[bytes] = []
        interrupted_after: list[int] = []
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            heard_again = asyncio.Event()

            async def read() -> None:
                first_after = b"%d" % len(sent)
                async for batch in subscription:
                    for event in batch:
                        if isinstance(event, Interrupted):
                            interrupted_after.append(len(found))
                        else:
                            found.append(event.publication.payload)
                    if found and int(found[-1]) >= int(first_after):
                        heard_again.set()
                        return

            tasks.create_task(read())
            while not heard_again.is_set():
                await publish()
                await asyncio.sleep(0)
    assert found == sorted(set(found), key=int)
    assert set(found) <= set(sent)
    if dies == "sender's":
        assert interrupted_after == []
    else:
        gap = interrupted_after[0]  # there alone may something be missing
        for whole in (found[:gap], found[gap:]):
            assert [int(payload) for payload in whole] == list(range(int(whole[0]), int(whole[-1]) + 1))
