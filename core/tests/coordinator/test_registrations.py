"""Register, get, update, heartbeat, unregister, expiry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prism.model.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidMetadata,
    LimitExceeded,
    NotFound,
    PrismError,
    QuotaExceeded,
    RevisionConflict,
    StaleRegistration,
)
from prism.model.operations import Beat, Default, EnumerateQuery, NewIdentity
from prism.model.time import SECOND
from support.proxies import NS, Proxy, TurnableClock, eventually, opened_proxies


async def test_what_is_registered_can_be_read_back(proxy: Proxy) -> None:
    metadata = {"room": "engineering", "nested": {"deep": [1, 2.5, None, True]}}
    stored = await proxy.register("alice", metadata)
    found = await proxy.get("alice")
    assert found == stored
    assert found is not None
    assert found.metadata == metadata
    assert found.expires_at is None


async def test_registering_twice_is_refused_unless_replace_is_asked_for(proxy: Proxy) -> None:
    first = await proxy.register("alice", {"v": 1})
    with pytest.raises(AlreadyExists, match="alice"):
        await proxy.register("alice", {"v": 2})
    second = await proxy.register("alice", {"v": 2}, replace=True)
    assert second.registration_id != first.registration_id
    assert second.revision > first.revision


async def test_changing_a_mapping_after_register_changes_nothing(proxy: Proxy) -> None:
    metadata: dict[str, Any] = {"tags": ["a"], "inner": {"x": 1}}
    await proxy.register("alice", metadata)
    metadata["tags"].append("b")
    metadata["inner"]["x"] = 2
    metadata["new"] = True
    found = await proxy.get("alice")
    assert found is not None
    assert found.metadata == {"tags": ["a"], "inner": {"x": 1}}
    assert await proxy.coordinator.count(NS, {"inner.x": 1}) == 1


async def test_changing_a_metadata_that_was_read_changes_nothing(proxy: Proxy) -> None:
    await proxy.register("alice", {"tags": ["a"]})
    found = await proxy.get("alice")
    assert found is not None
    found.metadata["tags"].append("b")
    again = await proxy.get("alice")
    assert again is not None
    assert again.metadata == {"tags": ["a"]}


@pytest.mark.parametrize("identity", ["", "line\nbreak", "tab\t", "nul\0", "x\x7f", "\u2028"])
async def test_empty_identities_and_control_characters_are_refused(proxy: Proxy, identity: str) -> None:
    with pytest.raises(InvalidArgument, match="identity"):
        await proxy.register(identity)


async def test_an_identity_over_512_bytes_is_refused_naming_value_and_limit(proxy: Proxy) -> None:
    await proxy.register("é" * 256)
    with pytest.raises(LimitExceeded, match=r"identity: 513 bytes is over the limit of 512"):
        await proxy.register("x" * 513)


@pytest.mark.parametrize(
    ("metadata", "place"),
    [
        ({"x": float("nan")}, "metadata.x"),
        ({"x": {"y": [float("inf")]}}, "metadata.x.y[0]"),
        ({"x": 2**63}, "metadata.x"),
        ({"x": object()}, "metadata.x"),
        ({1: 2}, "metadata"),
        ({"x": "\ud800"}, "metadata.x"),
    ],
)
async def test_metadata_that_is_not_json_is_refused_with_its_place(
    proxy: Proxy, metadata: dict[Any, Any], place: str
) -> None:
    with pytest.raises(InvalidMetadata) as caught:
        await proxy.register("alice", metadata)
    assert caught.value.violations[0].field == place


async def test_metadata_over_64_kib_is_refused(proxy: Proxy) -> None:
    await proxy.register("fits", {"x": "a" * (65_536 - 8)})
    with pytest.raises(LimitExceeded, match=r"metadata: 65,537 bytes is over the limit of 65,536"):
        await proxy.register("alice", {"x": "a" * (65_536 - 7)})


async def test_one_bad_item_of_a_batch_fails_alone(proxy: Proxy) -> None:
    items = [NewIdentity("a", {}), NewIdentity("", {}), NewIdentity("b", {"x": float("nan")}), NewIdentity("c", {})]
    outcomes = await proxy.coordinator.register(NS, items, ttl=Default.TTL, replace=False)
    assert [type(o).__name__ for o in outcomes] == [
        "Registration",
        "InvalidArgument",
        "InvalidMetadata",
        "Registration",
    ]
    assert await proxy.coordinator.count(NS, None) == 2


async def test_update_merges_and_keeps_the_expiry(proxy: Proxy, clock: TurnableClock) -> None:
    stored = await proxy.register("alice", {"status": "online", "room": "a", "inner": {"x": 1, "y": 2}}, ttl=30)
    clock.advance(10)
    patched = await proxy.coordinator.update(NS, "alice", {"room": None, "inner": {"x": 3}}, revision=None)
    assert patched.metadata == {"status": "online", "inner": {"x": 3, "y": 2}}
    assert patched.expires_at == stored.expires_at
    assert patched.registered_at == stored.registered_at
    assert patched.revision > stored.revision
    assert patched.registration_id == stored.registration_id


async def test_update_at_an_old_revision_is_refused(proxy: Proxy) -> None:
    stored = await proxy.register("alice", {"n": 1})
    await proxy.coordinator.update(NS, "alice", {"n": 2}, revision=stored.revision)
    with pytest.raises(RevisionConflict, match="alice"):
        await proxy.coordinator.update(NS, "alice", {"n": 3}, revision=stored.revision)
    found = await proxy.get("alice")
    assert found is not None
    assert found.metadata == {"n": 2}


async def test_concurrent_updates_without_revision_all_take_effect() -> None:
    async with opened_proxies(2) as proxies:
        await proxies[0].register("alice", {})
        await asyncio.gather(
            *(proxies[i % 2].coordinator.update(NS, "alice", {f"k{i}": i}, revision=None) for i in range(8))
        )
        found = await proxies[1].get("alice")
        assert found is not None
        assert found.metadata == {f"k{i}": i for i in range(8)}


async def test_update_of_an_unknown_identity_is_not_found(proxy: Proxy) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await proxy.coordinator.update(NS, "nobody", {"x": 1}, revision=None)


async def test_unregister_is_idempotent(proxy: Proxy) -> None:
    await proxy.register("alice")
    assert await proxy.unregister("alice") is True
    assert await proxy.unregister("alice") is False


async def test_a_stale_registration_can_neither_renew_nor_remove_a_newer_one(proxy: Proxy) -> None:
    old = await proxy.register("alice", ttl=30)
    await proxy.register("alice", ttl=30, replace=True)
    with pytest.raises(StaleRegistration):
        await proxy.unregister("alice", old.registration_id)
    (outcome,) = await proxy.coordinator.heartbeat(NS, [Beat("alice", old.registration_id)], ttl=Default.TTL)
    assert isinstance(outcome, StaleRegistration)
    assert await proxy.get("alice") is not None


async def test_an_expired_identity_is_never_seen_and_can_be_registered_again(
    proxy: Proxy, clock: TurnableClock
) -> None:
    first = await proxy.register("alice", ttl=5)
    clock.advance(5.1)
    assert await proxy.get("alice") is None
    assert await proxy.coordinator.count(NS, None) == 0
    pages = [page async for page in proxy.coordinator.enumerate(NS, EnumerateQuery())]
    assert pages == []
    second = await proxy.register("alice", ttl=5)
    assert second.revision > first.revision


async def test_a_heartbeat_keeps_an_identity(proxy: Proxy, clock: TurnableClock) -> None:
    await proxy.register("alice", ttl=5)
    for _ in range(3):
        clock.advance(4)
        (outcome,) = await proxy.coordinator.heartbeat(NS, [Beat("alice")], ttl=5 * SECOND)
        assert outcome == clock.now + 5 * SECOND
    assert await proxy.get("alice") is not None


async def test_a_clock_that_jumps_back_resurrects_nobody(proxy: Proxy, clock: TurnableClock) -> None:
    await proxy.register("alice", ttl=5)
    clock.advance(6)
    assert await proxy.get("alice") is None
    clock.advance(-3600)
    assert await proxy.get("alice") is None


async def test_the_sweeper_removes_what_expired_and_its_queue() -> None:
    async with opened_proxies(2, ttl={"default": 1}) as proxies:
        await proxies[0].register("alice")
        await proxies[0].send({"$identity": "alice"}, delivery="at-least-once", timeout=0)
        await eventually(lambda: sum(p.coordinator.metrics.expired[NS] for p in proxies) == 1)
        ns = await proxies[0].coordinator.namespace(NS)
        assert ns.durability is not None
        await eventually(lambda: _depth_is(ns, 0))


async def _depth_is(ns: Any, expected: int) -> bool:
    return (await ns.durability.depth(["alice"])) == [expected]


async def test_fifty_thousand_expiring_at_once_block_no_read(clock: TurnableClock) -> None:
    async with opened_proxies(1, clock) as (proxy,):
        for start in range(0, 50_000, 10_000):
            items = [NewIdentity(f"id-{i}", {"n": i}) for i in range(start, start + 10_000)]
            await proxy.coordinator.register(NS, items, ttl=10 * SECOND, replace=False)
        await proxy.register("survivor", {"n": 7})
        clock.advance(11)
        loop = asyncio.get_running_loop()
        slowest = 0.0
        while proxy.coordinator.metrics.expired[NS] < 50_000:
            before = loop.time()
            assert await proxy.coordinator.count(NS, {"n": 7}) == 1
            slowest = max(slowest, loop.time() - before)
            await asyncio.sleep(0)
        assert slowest < 5.0  # a bound against a stall, not a speed claim


async def test_a_namespace_ttl_default_and_maximum_are_kept(clock: TurnableClock) -> None:
    async with opened_proxies(1, clock, ttl={"default": 20, "max": 60}) as (proxy,):
        stored = await proxy.register("alice")
        assert stored.expires_at == clock.now + 20 * SECOND
        with pytest.raises(InvalidArgument, match=r"maximum of 60 s"):
            await proxy.register("bob", ttl=61)
        with pytest.raises(InvalidArgument, match=r"asks for no expiry"):
            await proxy.register("bob", ttl=0)
        with pytest.raises(InvalidArgument, match=r"negative"):
            await proxy.register("bob", ttl=-1)


async def test_the_registration_limit_is_kept_under_concurrency() -> None:
    async with opened_proxies(2, limits={"registrations": 10}) as proxies:

        async def one(i: int) -> bool:
            try:
                await proxies[i % 2].register(f"id-{i}")
            except QuotaExceeded:
                return False
            return True

        admitted = await asyncio.gather(*(one(i) for i in range(30)))
        assert sum(admitted) == 10
        assert await proxies[0].coordinator.count(NS, None) == 10


async def test_of_fifty_racing_registrations_one_wins() -> None:
    async with opened_proxies(2) as proxies:

        async def one(i: int) -> PrismError | None:
            try:
                await proxies[i % 2].register("alice", {"i": i})
            except AlreadyExists as error:
                return error
            return None

        outcomes = await asyncio.gather(*(one(i) for i in range(50)))
        assert outcomes.count(None) == 1


async def test_a_cancelled_registration_is_either_there_or_not() -> None:
    async with opened_proxies(1) as (proxy,):
        for i in range(50):
            task = asyncio.create_task(proxy.register(f"id-{i}"))
            for _ in range(i % 6):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            found = await proxy.get(f"id-{i}")
            if found is None:
                await proxy.register(f"id-{i}")
            assert await proxy.unregister(f"id-{i}") is True
