"""At-most-once delivery, receipts and their reasons; on one proxy and across two."""

from __future__ import annotations

import asyncio

import pytest
from prism.coordinator.hosting import NO_STREAM
from prism.coordinator.multicast import NO_RECEIPT, NOT_ATTACHED, NOT_WAITED, PROXY_GONE
from prism.model.delivery import MulticastResult, Status
from prism.model.errors import InvalidArgument, LimitExceeded, NotFound, Unsupported
from prism.model.operations import AttachItem, Default, NewIdentity
from prism.sessions.events import Delivery
from prism.sessions.hosting import FULL
from prism.sessions.session import STREAM_ENDED
from support.proxies import NS, Proxy, eventually, opened_proxies

Pair = tuple[Proxy, Proxy]


def statuses(result: MulticastResult) -> dict[str, tuple[Status, str | None]]:
    return {s.identity: (s.status, s.error) for s in result.statuses}


async def test_exactly_those_that_match_get_the_message(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream(
        AttachItem("a", {"room": "x"}), AttachItem("b", {"room": "y"}), AttachItem("c", {"room": "x"})
    ) as stream:
        result = await sender.send({"room": "x"}, b"hi", content_type="text/plain")
        assert (result.target_count, result.delivered_count) == (2, 2)
        assert statuses(result) == {"a": (Status.DELIVERED, None), "c": (Status.DELIVERED, None)}
        deliveries = stream.of(Delivery)
        assert sorted(handle for d in deliveries for handle in d.handles) == [0, 2]
        assert {(d.message.id, d.message.payload, d.message.content_type) for d in deliveries} == {
            (result.message_id, b"hi", "text/plain")
        }


async def test_a_message_for_many_identities_of_a_stream_travels_once(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream() as stream:
        await stream.session.attach([AttachItem(f"id-{i}", {}) for i in range(100)])
        result = await sender.send()
        assert result.delivered_count == 100
        (delivery,) = stream.of(Delivery)
        assert sorted(delivery.handles) == list(range(100))


async def test_order_per_sender_is_kept(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a") as stream:
        for i in range(50):
            await sender.send(payload=str(i).encode())
        assert stream.payloads == [str(i).encode() for i in range(50)]


async def test_a_registered_identity_without_stream_fails_with_the_reason(pair: Pair) -> None:
    sender, receiver = pair
    await receiver.register("alone")
    result = await sender.send()
    assert (result.target_count, result.delivered_count, result.failed_count) == (1, 0, 1)
    assert statuses(result) == {"alone": (Status.FAILED, NOT_ATTACHED)}


async def test_a_stream_that_ended_fails_with_the_reason(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a"):
        pass
    result = await sender.send()
    assert statuses(result) == {"a": (Status.FAILED, NO_STREAM)}


async def test_a_dead_proxy_fails_with_the_reason() -> None:
    async with opened_proxies(2) as (sender, receiver):
        async with receiver.stream("a"):
            pass
        await receiver.coordinator.close()
        result = await sender.send()
        assert statuses(result) == {"a": (Status.FAILED, PROXY_GONE)}


async def test_nobody_matching_is_a_result_of_zero(proxy: Proxy) -> None:
    result = await proxy.send({"x": 1})
    assert (result.target_count, result.delivered_count, len(result.statuses)) == (0, 0, 0)


async def test_without_waiting_the_status_is_pending(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a") as stream:
        result = await sender.send(timeout=0)
        assert statuses(result)["a"] == (Status.PENDING, NOT_WAITED)
        await stream.until(Delivery)


async def test_a_stuck_receiver_times_out_and_delays_nobody_else(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("quick") as quick, await receiver.hub.open(NS) as stuck:
        await stuck.attach([AttachItem("stuck", {})])
        result = await sender.send(timeout=0.3)
        assert statuses(result) == {
            "quick": (Status.DELIVERED, None),
            "stuck": (Status.TIMEOUT, NO_RECEIPT),
        }
        assert quick.payloads == [b"hello"]


async def test_an_inbox_is_bounded_and_says_so() -> None:
    async with opened_proxies(2, limits={"inbox_messages": 3}) as (sender, receiver):
        async with await receiver.hub.open(NS) as stuck, receiver.stream("quick") as quick:
            await stuck.attach([AttachItem("stuck", {})])
            for _ in range(3):
                await sender.send(timeout=0)
            await quick.until(Delivery, 3)
            result = await sender.send(timeout=0.2)
            assert statuses(result)["stuck"] == (Status.FAILED, FULL)
            assert statuses(result)["quick"] == (Status.DELIVERED, None)
            assert receiver.coordinator.metrics.overflows[NS] == 1
            taken = await stuck.take()
            assert sum(isinstance(event, Delivery) for event in taken) == 3


async def test_what_a_dying_stream_did_not_take_is_failed(pair: Pair) -> None:
    sender, receiver = pair
    session = await receiver.hub.open(NS)
    await session.attach([AttachItem("a", {})])
    sending = asyncio.create_task(sender.send(timeout=5))
    await eventually(lambda: any(isinstance(event, Delivery) for event in session._outbox))
    await session.take()
    session.close()
    assert statuses(await sending) == {"a": (Status.FAILED, STREAM_ENDED)}


async def test_the_counts_always_add_up(pair: Pair) -> None:
    sender, receiver = pair
    items = [NewIdentity(f"plain-{i}", {}) for i in range(1_500)]
    await sender.coordinator.register(NS, items, ttl=Default.TTL, replace=False)
    async with receiver.stream() as stream, await receiver.hub.open(NS) as stuck:
        await stream.session.attach([AttachItem(f"live-{i}", {}) for i in range(2_500)])
        await stuck.attach([AttachItem("stuck", {})])
        result = await sender.send(timeout=0.5)
        assert result.target_count == 4_001
        assert (result.delivered_count, result.failed_count, result.timeout_count) == (2_500, 1_500, 1)
        assert len(result.statuses) == 4_001
        assert result.statuses.count(Status.DELIVERED) == 2_500


async def test_the_newer_session_wins_and_gets_what_comes_next(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a") as old, sender.stream("a") as new:
        result = await receiver.send()
        assert result.delivered_count == 1
        assert new.payloads == [b"hello"]
        assert old.payloads == []


async def test_a_message_in_the_instant_of_attaching_is_not_missed(pair: Pair) -> None:
    sender, receiver = pair
    for i in range(20):
        async with receiver.stream() as stream:
            attaching = asyncio.create_task(stream.attach(f"id-{i}"))
            await eventually(lambda i=i: sender.get(f"id-{i}"))
            result = await sender.send({"$identity": f"id-{i}"})
            await attaching
            assert result.delivered_count == 1
            assert stream.payloads == [b"hello"]
            names = [type(event).__name__ for event in stream.events]
            assert names == ["Attachment", "Delivery"]


async def test_payload_and_names_are_bounded(proxy: Proxy) -> None:
    with pytest.raises(LimitExceeded, match=r"payload: 1,048,577 bytes is over the limit of 1,048,576"):
        await proxy.send(payload=bytes(1_048_577))
    with pytest.raises(InvalidArgument, match="message_id"):
        await proxy.send(message_id="line\nbreak")
    with pytest.raises(InvalidArgument, match="content_type"):
        await proxy.send(content_type="x" * 300)
    with pytest.raises(InvalidArgument, match="timeout: 301 s"):
        await proxy.send(timeout=301)


async def test_a_payload_of_nothing_and_of_1_mib_arrive_whole(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a") as stream:
        for payload in (b"", bytes(range(256)) * 4096):
            result = await sender.send(payload=payload)
            assert result.delivered_count == 1
            assert stream.payloads[-1] == payload


async def test_exactly_once_is_refused_without_an_outbox(proxy: Proxy) -> None:
    with pytest.raises(Unsupported, match="transactional outbox"):
        await proxy.send(delivery="exactly-once")


async def test_at_least_once_is_refused_without_a_durability_slot() -> None:
    async with opened_proxies(1, slots={"durability": None}) as (proxy,):
        with pytest.raises(Unsupported, match="durability slot"):
            await proxy.send(delivery="at-least-once")


async def test_a_multicast_can_be_looked_up_afterwards(proxy: Proxy) -> None:
    async with proxy.stream("a"):
        result = await proxy.send()
        assert await proxy.coordinator.get_multicast(NS, result.message_id) == result
        with pytest.raises(NotFound, match="another proxy"):
            await proxy.coordinator.get_multicast(NS, "unknown")


async def test_a_receipt_that_comes_late_still_counts(proxy: Proxy) -> None:
    async with await proxy.hub.open(NS) as slow:
        await slow.attach([AttachItem("a", {})])
        result = await proxy.send(timeout=0)
        assert result.pending_count == 1
        slow.handed_over(await slow.take())
        again = await proxy.coordinator.get_multicast(NS, result.message_id)
        assert again.delivered_count == 1


async def test_statuses_beyond_the_limit_are_counted_not_kept() -> None:
    async with opened_proxies(1, limits={"reported_statuses": 10}) as (proxy,):
        items = [NewIdentity(f"id-{i}", {}) for i in range(25)]
        await proxy.coordinator.register(NS, items, ttl=Default.TTL, replace=False)
        result = await proxy.send()
        assert (result.target_count, result.failed_count) == (25, 25)
        assert len(result.statuses) == 10
        assert result.statuses_truncated
