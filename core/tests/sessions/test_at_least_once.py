"""At-least-once: queued, nudged, leased, acked, redelivered; on one proxy and across two."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prism.coordinator.reporting import GONE, STORED, STORED_OFFLINE
from prism.model.delivery import Status
from prism.model.errors import PrismError
from prism.model.operations import AttachItem
from prism.model.time import SECOND
from prism.sessions.events import Delivery, MessageGap
from prism.slots.durability import Lease, SettleOutcome
from prism.slots.messaging import MessagingBackend
from support.proxies import NS, Proxy, Stream, TurnableClock, eventually, opened_proxies

Pair = tuple[Proxy, Proxy]
QUEUED: dict[str, Any] = {"delivery": "at-least-once"}


def acking(stream: Stream) -> asyncio.Task[None]:
    """Acks whatever a stream gets."""

    async def run() -> None:
        done = 0
        while True:
            await stream.until(Delivery, done + 1, seconds=60)
            tags = [tag for delivery in stream.of(Delivery) for tag in delivery.tags]
            stream.session.ack(tags[done:])
            done = len(tags)

    return asyncio.create_task(run())


async def test_an_acked_message_is_delivered(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a", "b") as stream:
        task = acking(stream)
        result = await sender.send(timeout=5, **QUEUED)
        task.cancel()
        assert (result.target_count, result.delivered_count) == (2, 2)
        assert stream.payloads == [b"hello", b"hello"]


async def test_an_unacked_message_is_pending_and_counts_once_it_is_acked(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a") as stream:
        result = await sender.send(timeout=0.2, **QUEUED)
        (status,) = result.statuses
        assert (status.status, status.error) == (Status.PENDING, STORED)
        (delivery,) = await stream.until(Delivery)
        stream.session.ack(delivery.tags)
        await eventually(lambda: delivered(sender, result.message_id))


async def delivered(sender: Proxy, message_id: str, count: int = 1) -> bool:
    return (await sender.coordinator.get_multicast(NS, message_id)).delivered_count == count


async def test_an_ack_after_the_identity_was_away_counts_too(pair: Pair) -> None:
    sender, receiver = pair
    await receiver.register("a")
    result = await sender.send(**QUEUED)
    assert result.pending_count == 1
    async with receiver.stream(AttachItem("a")) as stream:
        (delivery,) = await stream.until(Delivery)
        stream.session.ack(delivery.tags)
        await eventually(lambda: delivered(sender, result.message_id))


async def test_an_ack_counts_though_its_proxy_dies_before_it_is_settled(pair: Pair) -> None:
    sender, receiver = pair
    durability = (await receiver.coordinator.namespace(NS)).durability

    async def never(leases: Sequence[Lease]) -> list[SettleOutcome]:
        await asyncio.Event().wait()
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durability, "ack", never)
        async with receiver.stream("a") as stream:
            task = acking(stream)
            result = await sender.send(timeout=5, **QUEUED)
            task.cancel()
            assert result.delivered_count == 1


def fails_once(patch: pytest.MonkeyPatch, durability: Any, method: str) -> list[int]:
    """The slot can't be reached at the first call of a method; how many leases that was about."""
    give_back = getattr(durability, method)
    failed: list[int] = []

    async def at_the_second_try(leases: Sequence[Lease], *more: Any) -> list[SettleOutcome]:
        if not failed:
            failed.append(len(leases))
            raise OSError("gone")
        return list(await give_back(leases, *more))

    patch.setattr(durability, method, at_the_second_try)
    return failed


async def test_a_nack_is_not_forgotten_when_the_queue_cannot_be_reached(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, receiver = pair
    failed = fails_once(monkeypatch, (await receiver.coordinator.namespace(NS)).durability, "nack")
    async with receiver.stream("a") as stream:
        await sender.send(timeout=0, **QUEUED)
        (delivery,) = await stream.until(Delivery)
        stream.session.nack(delivery.tags)
        await stream.until(Delivery, 2)  # long before the lease's 30 s are over
        assert failed == [1]


async def test_a_message_that_nobody_saw_is_not_forgotten_when_the_queue_cannot_be_reached(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, receiver = pair
    failed = fails_once(monkeypatch, (await receiver.coordinator.namespace(NS)).durability, "release")
    unread = await receiver.hub.open(NS)
    await unread.attach([AttachItem("a", {})])
    await sender.send(timeout=0, **QUEUED)
    await eventually(unread.leases)
    unread.close()
    async with receiver.stream(AttachItem("a")) as stream:
        (delivery,) = await stream.until(Delivery)
        assert delivery.attempts == [1]
        assert failed == [1]


async def test_a_repeated_ack_is_not_counted_twice_beyond_the_reported_statuses() -> None:
    async with opened_proxies(2, limits={"reported_statuses": 1}) as (sender, receiver):
        async with receiver.stream() as stream:
            await stream.session.attach([AttachItem(f"id-{i}", {}) for i in range(3)])
            result = await sender.send(timeout=0, **QUEUED)
            deliveries = await stream.until(Delivery, 3)
            tags = [tag for delivery in deliveries for tag in delivery.tags]
            stream.session.nack(tags[2:])
            await stream.until(Delivery, 4)
            again = stream.of(Delivery)[-1]
            assert again.attempts == [2]
            stream.session.ack([tags[1], *again.tags])
            await eventually(lambda: delivered(sender, result.message_id, 1))
            stream.session.ack(tags[:1])
            await eventually(lambda: delivered(sender, result.message_id, 2))


async def test_acks_beyond_the_reported_statuses_are_counted() -> None:
    async with opened_proxies(2, limits={"reported_statuses": 3}) as (sender, receiver):
        async with receiver.stream() as stream:
            await stream.session.attach([AttachItem(f"id-{i}", {}) for i in range(10)])
            task = acking(stream)
            result = await sender.send(timeout=5, **QUEUED)
            task.cancel()
            assert (result.target_count, result.delivered_count, len(result.statuses)) == (10, 10, 3)


async def test_an_identity_that_is_away_gets_it_when_it_attaches(pair: Pair) -> None:
    sender, receiver = pair
    await sender.register("a", {"n": 1})
    result = await sender.send(payload=b"one", **QUEUED)
    assert [(s.status, s.error) for s in result.statuses] == [(Status.PENDING, STORED_OFFLINE)]
    await sender.send(payload=b"two", **QUEUED)
    async with receiver.stream(AttachItem("a")) as stream:
        await stream.until(Delivery, 2)
        assert stream.payloads == [b"one", b"two"]


async def test_a_status_that_is_asked_for_says_who_is_not_registered_any_more(pair: Pair) -> None:
    sender, receiver = pair
    for identity in ("acks", "goes", "stays"):
        await receiver.register(identity)
    sent = await sender.send(timeout=0, **QUEUED)
    async with receiver.stream(AttachItem("acks")) as stream:
        (delivery,) = await stream.until(Delivery)
        stream.session.ack(delivery.tags)
        await eventually(lambda: delivered(sender, sent.message_id))
    for identity in ("acks", "goes"):
        await receiver.unregister(identity)
    report = await sender.coordinator.get_multicast(NS, sent.message_id)
    assert {s.identity: (s.status, s.error) for s in report.statuses} == {
        "acks": (Status.DELIVERED, None),
        "goes": (Status.PENDING, GONE),
        "stays": (Status.PENDING, STORED_OFFLINE),
    }
    await receiver.register("goes")  # another registration: what was stored for the older one is not claimed of it
    report = await sender.coordinator.get_multicast(NS, sent.message_id)
    assert [s.error for s in report.statuses if s.identity == "goes"] == [STORED_OFFLINE]


async def test_a_status_is_told_without_a_registry_that_fails(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sender, _ = pair
    await sender.register("a")
    sent = await sender.send(timeout=0, **QUEUED)
    ns = await sender.coordinator.namespace(NS)

    async def fail(identities: object) -> None:
        raise ConnectionError(f"nobody answers for {identities}")

    monkeypatch.setattr(ns.registry, "get", fail)
    (status,) = (await sender.coordinator.get_multicast(NS, sent.message_id)).statuses
    assert (status.status, status.error) == (Status.PENDING, STORED_OFFLINE)


async def test_a_session_that_dies_without_acking_leaves_the_message_for_the_next(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a") as stream:
        attachment = stream.events[0] if stream.events else None
        sent = await sender.send(timeout=0, **QUEUED)
        await stream.until(Delivery)
        del attachment
    async with sender.stream(AttachItem("a")) as stream:
        (delivery,) = await stream.until(Delivery)
        assert delivery.message.id == sent.message_id
        assert delivery.attempts == [2]


async def test_an_acked_message_never_comes_again(pair: Pair) -> None:
    sender, receiver = pair
    async with receiver.stream("a") as stream:
        task = acking(stream)
        await sender.send(payload=b"one", timeout=5, **QUEUED)
        task.cancel()
    await sender.send(payload=b"two", **QUEUED)
    async with receiver.stream(AttachItem("a")) as stream:
        await stream.until(Delivery)
        assert stream.payloads == [b"two"]


async def test_a_nacked_message_comes_again_and_at_last_is_a_dead_letter() -> None:
    async with opened_proxies(1, slots={"durability": {"max_attempts": 3}}) as (proxy,):
        async with proxy.stream("a") as stream:
            await proxy.send(payload=b"poison", timeout=0, **QUEUED)
            for attempt in (1, 2, 3):
                deliveries = await stream.until(Delivery, attempt)
                assert deliveries[-1].attempts == [attempt]
                stream.session.nack(deliveries[-1].tags)
            ns = await proxy.coordinator.namespace(NS)
            durability = ns.durability
            assert durability is not None

            async def dead() -> bool:
                return len(await durability.dead_letters("a", 10)) == 1

            await eventually(dead)
            assert await durability.replay("a", [(await durability.dead_letters("a", 10))[0].message.id]) == 1


async def test_more_messages_than_the_window_all_arrive_in_order(pair: Pair) -> None:
    sender, receiver = pair
    await sender.register("a")
    for i in range(600):
        await sender.send(payload=str(i).encode(), timeout=0, **QUEUED)
    async with receiver.stream(AttachItem("a")) as stream:
        task = acking(stream)
        await stream.until(Delivery, 600, seconds=30)
        task.cancel()
        assert stream.payloads == [str(i).encode() for i in range(600)]


async def test_a_stuck_receiver_keeps_its_messages_queued_within_its_window() -> None:
    async with opened_proxies(2, limits={"unacked_messages": 40}) as (sender, receiver):
        async with receiver.stream("stuck") as stuck, receiver.stream("quick") as quick:
            task = acking(quick)
            for i in range(100):
                await sender.send(payload=str(i).encode(), timeout=0, **QUEUED)
            await quick.until(Delivery, 100)
            task.cancel()
            assert 0 < len(stuck.payloads) <= 64
            ns = await sender.coordinator.namespace(NS)
            assert ns.durability is not None
            assert await ns.durability.depth(["stuck"]) == [100]


async def test_a_queue_that_overflows_leaves_a_gap_marker(pair: Pair) -> None:
    del pair
    async with opened_proxies(2, slots={"durability": {"max_messages": 10}}) as (sender, receiver):
        await sender.register("a")
        for i in range(15):
            await sender.send(payload=str(i).encode(), timeout=0, **QUEUED)
        async with receiver.stream(AttachItem("a")) as stream:
            await stream.until(Delivery, 10)
            (gap,) = stream.of(MessageGap)
            assert gap.dropped == 5
            assert stream.events.index(gap) < stream.events.index(stream.of(Delivery)[0])
            assert stream.payloads == [str(i).encode() for i in range(5, 15)]


async def test_a_repeated_message_id_stores_nothing_twice(pair: Pair) -> None:
    sender, receiver = pair
    await receiver.register("a")
    for proxy in (sender, receiver):
        await proxy.send(payload=b"once", message_id="order-1", timeout=0, **QUEUED)
    async with receiver.stream(AttachItem("a")) as stream:
        await stream.until(Delivery)
        await sender.send(payload=b"next", timeout=0, **QUEUED)
        await stream.until(Delivery, 2)
        assert stream.payloads == [b"once", b"next"]


async def test_a_nudge_that_gets_lost_only_costs_time(monkeypatch: Any) -> None:
    monkeypatch.setattr("prism.sessions.hosting.POLL", 0.3)
    async with opened_proxies(2) as (sender, receiver), receiver.stream("a") as stream:
        ns = await sender.coordinator.namespace(NS)
        monkeypatch.setattr(ns, "messaging", _Deaf(ns.messaging))
        await sender.send(timeout=0, **QUEUED)
        await stream.until(Delivery)


class _Deaf:
    """A messaging slot whose publications all vanish."""

    def __init__(self, inner: MessagingBackend) -> None:
        self._inner = inner

    async def publish(self, publication: Any, topics: Any) -> Any:
        from prism.slots.messaging import Published

        return [Published(1) for _ in topics]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_a_dead_proxy_gives_its_leases_up_in_time() -> None:
    async with opened_proxies(2, slots={"durability": {"visibility": 1}}) as (dying, heir):
        session = await dying.hub.open(NS)
        await session.attach([AttachItem("a", {})])
        await heir.send(timeout=0, **QUEUED)

        async def leased() -> bool:
            return bool(session.leases())

        await eventually(leased)
        await dying.coordinator.background.close()  # as if it were killed: nothing is given back
        async with heir.stream(AttachItem("a")) as stream:
            (delivery,) = await stream.until(Delivery, seconds=20)
            assert delivery.attempts == [2]


async def test_slow_messaging_keeps_no_ack_from_being_settled_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_proxies(2, slots={"durability": {"visibility": 1}}) as (sender, receiver):
        await receiver.register("a")
        for _ in range(100):
            await sender.send(timeout=0, **QUEUED)
        messaging: Any = (await receiver.coordinator.namespace(NS)).messaging
        publish = messaging.publish

        async def slowly(*arguments: Any) -> Any:
            await asyncio.sleep(0.1)
            return await publish(*arguments)

        monkeypatch.setattr(messaging, "publish", slowly)
        async with receiver.stream(AttachItem("a")) as stream:
            task = acking(stream)
            await stream.until(Delivery, 100, seconds=20)
            await eventually(lambda: settled(receiver, "a"))
            task.cancel()
        assert receiver.coordinator.metrics.frames_sent[NS] < 10


async def test_messaging_that_hangs_keeps_no_ack_from_being_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_proxies(2, slots={"durability": {"visibility": 1}}) as (sender, receiver):
        await receiver.register("a")
        await sender.send(timeout=0, **QUEUED)
        messaging: Any = (await receiver.coordinator.namespace(NS)).messaging

        async def never(*_arguments: Any) -> Any:
            await asyncio.Event().wait()

        monkeypatch.setattr(messaging, "publish", never)
        async with receiver.stream(AttachItem("a")) as stream:
            task = acking(stream)
            await stream.until(Delivery)
            await eventually(lambda: settled(receiver, "a"))
            task.cancel()


async def settled(proxy: Proxy, identity: str) -> bool:
    durability = (await proxy.coordinator.namespace(NS)).durability
    assert durability is not None
    return await durability.depth([identity]) == [0]


async def test_messages_of_an_earlier_registration_are_not_inherited(pair: Pair) -> None:
    sender, receiver = pair
    await sender.register("a")
    await sender.send(payload=b"old", timeout=0, **QUEUED)
    await receiver.unregister("a")
    await sender.register("a")
    await sender.send(payload=b"new", timeout=0, **QUEUED)
    async with receiver.stream(AttachItem("a")) as stream:
        await stream.until(Delivery)
        assert stream.payloads == [b"new"]


@pytest.mark.parametrize("again", ["a proxy that is killed", "an expiry that isn't swept"])
async def test_messages_to_a_registration_that_ran_out_are_not_inherited(
    again: str, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened_proxies(1, clock, sweep_interval="1h") as (proxy,):
        await proxy.register("a", ttl=10)
        await proxy.register("b", ttl=0)
        assert (await proxy.send(payload=b"old", timeout=0, **QUEUED)).pending_count == 2
        clock.advance(11)
        ns = await proxy.coordinator.namespace(NS)
        if again == "a proxy that is killed":
            with monkeypatch.context() as patch:
                patch.setattr(ns.durability, "delete", killed)
                with pytest.raises(PrismError, match="killed"):
                    await proxy.coordinator.store.pop_expired(ns, 10)
        await proxy.register("a", replace=True)
        await proxy.register("b", ttl=0, replace=True)
        await proxy.send(payload=b"new", timeout=0, **QUEUED)
        async with proxy.stream(AttachItem("a")) as one, proxy.stream(AttachItem("b")) as other:
            await one.until(Delivery)
            await other.until(Delivery, 2)
            assert (one.payloads, other.payloads) == ([b"new"], [b"old", b"new"])


async def test_messages_to_a_registration_that_could_not_be_renewed_are_kept_for_who_goes_on(
    clock: TurnableClock,
) -> None:
    async with opened_proxies(1, clock, sweep_interval="1h") as (proxy,):
        registered = await proxy.register("a", ttl=10)
        await proxy.send(payload=b"old", timeout=0, **QUEUED)
        clock.advance(11)
        async with proxy.stream(AttachItem("a", {}, resume=registered.registration_id)) as stream:
            await stream.until(Delivery)
            assert stream.payloads == [b"old"]


async def killed(*_arguments: Any) -> None:
    raise OSError("killed")


async def test_the_message_ttl_is_kept() -> None:
    async with opened_proxies(1) as (proxy,):
        await proxy.register("a")
        await proxy.send(payload=b"short", timeout=0, message_ttl=SECOND // 20, **QUEUED)
        await asyncio.sleep(0.1)
        await proxy.send(payload=b"long", timeout=0, **QUEUED)
        async with proxy.stream(AttachItem("a")) as stream:
            await stream.until(Delivery)
            assert stream.payloads == [b"long"]
            assert [gap.dropped for gap in stream.of(MessageGap)] == [1]
