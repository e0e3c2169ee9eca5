"""Expiry where it is the memory backend's own: the clock, the heap, and many expiring at once."""

from __future__ import annotations

import asyncio

from prism.memory.registry import MemoryRegistry
from prism.memory.table import Table
from prism.model.limits import Limits
from prism.model.time import SECOND
from prism.slots.registry import Anything, Fence, Query, Refusal, Refused, Renewal, Stored, Write

from .conftest import Clock, Open


def write(identity: str, ttl: float | None = None) -> Write:
    return Write(identity, b"{}", "r", None if ttl is None else round(ttl * SECOND), Anything())


def heap_of(registry: MemoryRegistry) -> int:
    """Timers in the registry's heap."""
    return len(registry._part.expiries)


async def test_clock_that_jumps_back_resurrects_nothing(slot: Open, clock: Clock) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write("alice", ttl=10)])
    clock.turn(11)
    assert await registry.get(["alice"]) == [None]
    clock.turn(-3600)
    assert await registry.get(["alice"]) == [None]
    assert await registry.count(()) == 0


async def test_clock_that_jumps_ahead_expires_what_is_over_by_then(slot: Open, clock: Clock) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write("alice", ttl=10), write("bob", ttl=10_000_000), write("carol")])
    clock.turn(1_000_000)
    assert [item.identity for item in await registry.pop_expired(10)] == ["alice"]


async def test_revision_rises_while_the_clock_stands_still(slot: Open) -> None:
    registry = await slot(MemoryRegistry)
    revisions = []
    for _ in range(5):
        [outcome] = await registry.set([write("alice")])
        revisions.append(outcome.registration.revision)
        await registry.delete([Fence("alice")])
    assert revisions == sorted(set(revisions))


async def test_registration_expires_at_its_moment_and_not_before(slot: Open, clock: Clock) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write("alice", ttl=10)])
    clock.now += 10 * SECOND - 1
    assert await registry.count(()) == 1
    clock.now += 1
    assert await registry.count(()) == 0
    assert len(await registry.pop_expired(10)) == 1


async def test_heap_stays_bounded_under_renewals(slot: Open, clock: Clock) -> None:
    registry = await slot(MemoryRegistry)
    names = [f"user-{i}" for i in range(100)]
    await registry.set([write(name, ttl=30) for name in names])
    for _ in range(200):
        clock.turn(10)
        await registry.expire([Renewal(name, None, 30 * SECOND) for name in names])
        assert await registry.pop_expired(1_000) == []
    assert heap_of(registry) == len(names)


async def test_heap_stays_bounded_when_registrations_come_and_go(slot: Open) -> None:
    registry = await slot(MemoryRegistry)
    for i in range(5_000):
        await registry.set([write(f"user-{i}", ttl=3600)])
        await registry.delete([Fence(f"user-{i}")])
    assert heap_of(registry) <= 1_100


async def test_heap_stays_bounded_when_lives_are_shortened(slot: Open) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write("alice", ttl=100_000)])
    for i in range(5_000):
        await registry.expire([Renewal("alice", None, (90_000 - i) * SECOND)])
    assert heap_of(registry) <= 1_100


async def test_popping_does_no_more_than_its_limit(slot: Open, clock: Clock) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write(f"user-{i:05d}", ttl=10) for i in range(50_000)])
    clock.turn(11)
    assert len(await registry.pop_expired(100)) == 100
    assert len(registry._part) == 49_900


async def test_reads_remove_nothing_when_many_have_expired_at_once(slot: Open, clock: Clock) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write(f"user-{i:05d}", ttl=10) for i in range(50_000)])
    await registry.set([write("zoe")])
    clock.turn(11)
    assert await registry.get(["user-00000", "zoe"]) != [None, None]
    assert [name async for page in registry.scan(Query()) for name in page.identities] == ["zoe"]
    assert await registry.count(()) == 1
    assert len(registry._part) == 50_001


async def test_others_run_while_many_are_scanned(slot: Open) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write(f"user-{i:05d}") for i in range(30_000)])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    assert await registry.count([]) == 30_000
    before = turns
    assert sum([len(page) async for page in registry.scan(Query(page_size=100_000))]) == 30_000
    task.cancel()
    assert turns > before + 1


async def test_cancelled_sweeper_loses_no_expired_registration(slot: Open, clock: Clock) -> None:
    registry = await slot(MemoryRegistry)
    await registry.set([write(f"user-{i:05d}", ttl=10) for i in range(5_000)])
    clock.turn(11)
    for steps in range(1, 5):
        task = asyncio.create_task(registry.pop_expired(5_000))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            break
    popped = [] if task.cancelled() else task.result()
    assert len(popped) + len(await registry.pop_expired(5_000)) == 5_000


async def test_quota_counts_no_expired_registration_whatever_timers_are_due(slot: Open, clock: Clock) -> None:
    registry = await slot(MemoryRegistry, limits=Limits(registrations=5_000))
    await registry.set([write(f"user-{i:05d}", ttl=10) for i in range(5_000)])
    await registry.expire([Renewal(f"user-{i:05d}", None, 60 * SECOND) for i in range(0, 5_000, 2)])
    clock.turn(11)
    outcomes = await registry.set([write(f"new-{i:05d}") for i in range(2_501)])
    assert all(isinstance(outcome, Stored) for outcome in outcomes[:2_500])
    assert outcomes[2_500] == Refused(Refusal.QUOTA_EXCEEDED)
    assert await registry.count(()) == 5_000


async def test_timers_that_became_stale_are_looked_at_once(clock: Clock) -> None:
    table = Table(clock)
    for i in range(1_000):
        table.write(write(f"user-{i}", ttl=10), table.now(), None)
    table.renew([Renewal(f"user-{i}", None, 1_000 * SECOND) for i in range(1_000)], table.now())
    clock.turn(11)
    table.expiries.settle(table.now(), 1_000)
    assert not table.expiries.due(table.now())
    assert table.expiries.unclaimed == {}
