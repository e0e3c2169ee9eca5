"""The server dies, and connections are cut, in the middle of at-least-once: nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prism.model.errors import PrismError
from prism.model.message import DeliverySemantics, Message
from prism.model.time import SECOND
from prism.slots.context import Code, QueuePolicy
from prism.slots.durability import DurabilityBackend, Enqueued, Lease, Settled
from prism.slots.messaging import Event, Interrupted, Publication, Published, Received, Subscription, Topic, TopicKind
from prism_conformance.servers import AsyncServer, Direction, FaultProxy
from prism_postgres import listening
from prism_postgres.durability import PostgresDurability
from prism_postgres.messaging import PostgresMessaging
from support.proxies import eventually

from .conftest import Open, on_disk

ALICE = Topic(TopicKind.IDENTITY, "alice")
QUEUES = [f"user-{i}" for i in range(20)]
PATIENT = QueuePolicy(max_attempts=10_000)
PATIENCE = 60.0
PASSING = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)


def message(name: str) -> Message:
    return Message(name, name.encode() * 20, "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE, "proxy-1")


def options(url: str, **more: Any) -> dict[str, Any]:
    return {"connection": url, "schema": "faults", "auto_migrate": True, "connect_timeout": 1.0, **more}


@pytest.fixture
async def server() -> AsyncIterator[AsyncServer]:
    """A server of the test's own, that keeps what it acknowledges."""
    async with await AsyncServer.start("postgres", durable=True) as server:
        yield server


class Traffic:
    """Numbered messages into all queues, consumers that take and ack them, and a record of what was said of each."""

    def __init__(self, slots: list[DurabilityBackend]) -> None:
        self.slots = slots
        self.stored: set[tuple[str, str]] = set()
        self.acked: set[tuple[str, str]] = set()
        self.received: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self.refused = 0
        self.sending = True
        self._progress = asyncio.Condition()

    async def send(self, number: int) -> None:
        """Puts one message after the other into all queues, each until that is acknowledged."""
        slot, n = self.slots[number % len(self.slots)], 0
        while self.sending:
            name = f"m{number}.{n}"
            outcomes = await self._until_answered(
                slot, lambda slot=slot, name=name: slot.enqueue(message(name), QUEUES)
            )
            self.stored.update((q, name) for q, outcome in zip(QUEUES, outcomes, strict=True) if outcome == Enqueued())
            self.wrong += [f"{name}: {outcome}" for outcome in outcomes if outcome != Enqueued()]
            n += 1

    async def receive(self, number: int) -> None:
        """Takes and acks until everything that was stored has come."""
        slot, mine = self.slots[number % len(self.slots)], QUEUES[number::2]
        while self.sending or not self.stored <= self.received.keys():
            leases: list[Lease] = await self._until_answered(
                slot, lambda slot=slot, mine=mine: slot.dequeue(mine, 5, SECOND // 2)
            )
            items = [(lease.queue, lease.content.id) for lease in leases if isinstance(lease.content, Message)]
            self.received.update(items)
            self.wrong += [f"{item} came after its ack" for item in self.acked.intersection(items)]
            self.wrong += [f"a gap in {lease.queue}" for lease in leases if not isinstance(lease.content, Message)]
            try:
                outcomes = await slot.ack(leases)
            except Exception as error:  # noqa: BLE001 - judged by classify
                self._passing(slot, error)
                continue  # whether it took effect is unknown: it may come again
            self.acked.update(item for item, said in zip(items, outcomes, strict=True) if said == Settled())
            async with self._progress:
                self._progress.notify_all()
            await asyncio.sleep(0)

    async def more_is_acked(self, than: int) -> None:
        """Waits until more has been acked."""
        async with asyncio.timeout(PATIENCE), self._progress:
            await self._progress.wait_for(lambda: len(self.acked) > than)

    async def _until_answered(self, slot: DurabilityBackend, call: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await call()
            except Exception as error:  # noqa: BLE001 - judged by classify
                self._passing(slot, error)
            await asyncio.sleep(0.01)

    def _passing(self, slot: DurabilityBackend, error: Exception) -> None:
        if slot.classify(error) not in PASSING:
            raise error
        self.refused += 1


async def run(slots: list[DurabilityBackend], fault: Callable[[], Awaitable[None]], times: int) -> Traffic:
    """Traffic, and a fault so many times in the middle of it."""
    traffic = Traffic(slots)
    await slots[0].create(QUEUES)
    async with asyncio.TaskGroup() as tasks:
        consumers = [tasks.create_task(traffic.receive(number)) for number in range(2)]
        for number in range(2):
            tasks.create_task(traffic.send(number))
        for _ in range(times):
            await traffic.more_is_acked(len(traffic.acked) + 30)
            await fault()
        await traffic.more_is_acked(len(traffic.acked) + 30)
        traffic.sending = False
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait(consumers)
    return traffic


async def no_trace_is_left(traffic: Traffic) -> None:
    assert traffic.wrong == []
    assert traffic.received.keys() >= traffic.stored
    # What was stored, or received, or acked, without our hearing of it may be left; nothing else is.
    for _ in range(2):
        left = await traffic.slots[0].dequeue(QUEUES, 1_000, SECOND)
        assert (
            not {(lease.queue, lease.content.id) for lease in left if isinstance(lease.content, Message)}
            & traffic.acked
        )
        await traffic.slots[0].ack(left)


async def kills(server: AsyncServer, opened: Open, times: int) -> Traffic:
    slots = [await opened(PostgresDurability, options(server.url, pool_size=size), queues=PATIENT) for size in (3, 4)]

    async def kill() -> None:
        await server.kill()
        await server.restart()

    return await run(slots, kill, times)


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(server: AsyncServer, opened: Open) -> None:
    traffic = await kills(server, opened, 8)
    await no_trace_is_left(traffic)
    assert traffic.refused >= 8


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_nothing_acknowledged_is_lost_over_many_kills(server: AsyncServer, opened: Open) -> None:
    await no_trace_is_left(await kills(server, opened, 300))


async def test_nothing_acknowledged_is_lost_when_connections_are_cut(
    server: AsyncServer, opened: Open, conformance_seed: int
) -> None:
    chance = random.Random(conformance_seed)
    async with FaultProxy(server.host, server.port) as proxy:
        url = proxy.url(server.url)
        slots = [await opened(PostgresDurability, options(url, pool_size=size), queues=PATIENT) for size in (3, 4)]

        async def cut() -> None:
            before = proxy.accepted
            direction = chance.choice([Direction.UP, Direction.DOWN])
            await proxy.cut_after(chance.randrange(1, 20_000), direction)
            async with asyncio.timeout(PATIENCE):
                await proxy.wait_until(lambda: proxy.accepted > before)

        traffic = await run(slots, cut, 20)
        await no_trace_is_left(traffic)
    assert traffic.refused > 0


async def test_lease_survives_a_crash_of_the_server(server: AsyncServer, opened: Open) -> None:
    slot = await opened(PostgresDurability, options(server.url))
    await slot.create(["alice"])
    for name in ("m1", "m2"):
        await slot.enqueue(message(name), ["alice"])
    first = await slot.dequeue(["alice"], 1, 60 * SECOND)
    await server.kill()
    await server.restart()
    await until_served(slot)
    rest = await slot.dequeue(["alice"], 10, 60 * SECOND)
    assert [item.content.id for item in [*first, *rest]] == ["m1", "m2"]
    assert await slot.ack([*first, *rest]) == [Settled()] * 2


async def test_read_only_server_is_unavailable_and_stores_nothing(server: AsyncServer, opened: Open) -> None:
    config = options(server.url)
    slot = await opened(PostgresDurability, config)
    await slot.create(["alice"])
    bare = await asyncpg.connect(server.url)
    try:
        await bare.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await bare.execute("SELECT pg_reload_conf()")

        async def refused() -> bool:
            return bool(await bare.fetchval("SHOW default_transaction_read_only") == "on")

        await eventually(refused)
        other = await opened(PostgresDurability, {**config, "auto_migrate": False, "pool_size": 1})
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as caught:
            await other.enqueue(message("m1"), ["alice"])
        assert other.classify(caught.value) is Code.UNAVAILABLE
        assert await other.depth(["alice"]) == [0]
    finally:
        await bare.close()


@pytest.mark.soak
async def test_full_disk_is_unavailable_and_what_was_stored_is_delivered(
    server: AsyncServer, opened: Open, tiny_disk: Path
) -> None:
    """Our tables on a file system that fills up. Run as root: it mounts one."""
    reserve = await on_disk(server, tiny_disk)
    slot = await opened(PostgresDurability, options(server.url), queues=PATIENT)
    await slot.create(QUEUES)
    stored: list[str] = []
    for number in range(1_000):
        sent = Message(f"m{number}", os.urandom(50_000), "", 1, DeliverySemantics.AT_LEAST_ONCE, "proxy-1")
        try:
            outcomes = await slot.enqueue(sent, QUEUES)
        except asyncpg.DiskFullError:  # UNAVAILABLE
            break
        assert outcomes == [Enqueued()] * len(QUEUES)
        stored.append(sent.id)
    else:
        raise AssertionError("the disk never filled up")
    assert await slot.depth(QUEUES) == [len(stored)] * len(QUEUES)
    for name in QUEUES:  # taken and acked in place: that needs no room
        leases = await slot.dequeue([name], 1_000, 60 * SECOND)
        assert [lease.content.id for lease in leases] == stored
        assert await slot.ack(leases) == [Settled()] * len(stored)
    reserve.unlink()
    assert await slot.enqueue(message("later"), QUEUES[:1]) == [Enqueued()]


async def until_served(slot: PostgresDurability | PostgresMessaging) -> None:
    async def served() -> bool:
        try:
            await slot.check()
        except Exception as error:
            if slot.classify(error) not in PASSING:
                raise
            return False
        return True

    await eventually(served, PATIENCE)


async def events(subscription: Subscription, enough: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for batch in subscription:
            found += batch
            if len(found) >= enough:
                break
    return found


async def test_subscription_comes_back_after_a_crash_and_says_that_it_was_gone(
    server: AsyncServer, opened: Open
) -> None:
    slot = await opened(PostgresMessaging, options(server.url))
    async with await slot.subscribe() as subscription:
        await subscription.add([ALICE])
        await slot.publish(Publication(b"before" * 5_000), [ALICE])
        [before] = await events(subscription, 1)
        assert isinstance(before, Received)
        await server.kill()
        await server.restart()
        [gap] = await events(subscription, 1)
        assert isinstance(gap, Interrupted)
        await until_served(slot)
        assert await slot.publish(Publication(b"after" * 5_000), [ALICE]) == [Published()]
        [after] = await events(subscription, 1)
        assert isinstance(after, Received)
        assert after.publication.payload == b"after" * 5_000


async def test_topic_added_while_the_server_is_down_is_listened_to_when_it_is_back(
    server: AsyncServer, opened: Open
) -> None:
    slot = await opened(PostgresMessaging, options(server.url, acquire_timeout=60))
    async with await slot.subscribe() as subscription:
        await server.kill()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(subscription.add([ALICE]))
            await server.restart()
        await until_served(slot)
        await slot.publish(Publication(b"x"), [ALICE])
        assert Received(ALICE, Publication(b"x")) in await events(subscription, 1)


async def test_adding_a_topic_fails_in_time_where_no_server_is(server: AsyncServer, opened: Open) -> None:
    slot = await opened(PostgresMessaging, options(server.url, acquire_timeout=0.5))
    async with await slot.subscribe() as subscription:
        await server.kill()
        with pytest.raises(Exception, match="could not listen") as caught:
            await subscription.add([ALICE])
    assert slot.classify(caught.value) is Code.UNAVAILABLE


async def test_publishing_fails_and_delivers_nothing_where_no_server_is(server: AsyncServer, opened: Open) -> None:
    slot = await opened(PostgresMessaging, options(server.url))
    await server.kill()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one depends on how far it got
        await slot.publish(Publication(b"x"), [ALICE])
    assert not isinstance(caught.value, PrismError)
    assert slot.classify(caught.value) in PASSING


async def test_listening_connection_that_is_cut_is_replaced(server: AsyncServer, opened: Open) -> None:
    async with FaultProxy(server.host, server.port) as proxy:
        slot = await opened(PostgresMessaging, options(proxy.url(server.url)))
        async with await slot.subscribe() as subscription:
            await subscription.add([ALICE])
            for i in range(3):
                await proxy.cut()
                [gap] = await events(subscription, 1)
                assert isinstance(gap, Interrupted)
                await slot.check()
                await slot.publish(Publication(b"%d" % i), [ALICE])
                assert await events(subscription, 1) == [Received(ALICE, Publication(b"%d" % i))]


async def test_half_open_connection_is_noticed(
    server: AsyncServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "QUIET", 0.2)
    async with FaultProxy(server.host, server.port) as proxy:
        slot = await opened(PostgresMessaging, options(proxy.url(server.url)))
        async with await slot.subscribe() as subscription:
            await subscription.add([ALICE])
            before = proxy.accepted
            await proxy.blackhole(Direction.DOWN)
            async with asyncio.timeout(PATIENCE):
                await proxy.wait_until(lambda: proxy.accepted > before)
            await proxy.heal()
            [gap] = await events(subscription, 1)
    assert isinstance(gap, Interrupted)
