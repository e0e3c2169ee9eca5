"""What happens to registrations when the server restarts, hangs, is cut off, takes no writes, or has no room left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prism.model.errors import Unavailable
from prism.model.time import SECOND
from prism.slots.context import Code, Failure
from prism.slots.registry import Anything, Fence, Query, Refusal, Refused, Renewal, Renewed, Stored, Write
from prism_conformance.servers import AsyncServer, Direction, FaultProxy
from prism_postgres.errors import classify
from prism_postgres.registry import PostgresRegistry

from .conftest import Open, config_of, on_disk

LOST = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
HOUR = 3600 * SECOND


def write(identity: str, metadata: bytes = b'{"a":1}') -> Write:
    return Write(identity, metadata, "r1", HOUR, Anything())


def options(server: AsyncServer, **more: Any) -> dict[str, Any]:
    return config_of(
        server.server, **{"connect_timeout": 2.0, "acquire_timeout": 3.0, "statement_timeout": 5.0, **more}
    )


@pytest.fixture
async def server() -> AsyncIterator[AsyncServer]:
    """A server of the test's own, that keeps what it acknowledges."""
    async with await AsyncServer.start("postgres", durable=True) as server:
        yield server


async def until_served(registry: PostgresRegistry) -> None:
    """Waits until the slot can serve again."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await registry.check()
            except Exception as error:
                if registry.classify(error) not in LOST:
                    raise
            await asyncio.sleep(0.02)


async def code_of(registry: PostgresRegistry, attempt: Awaitable[object]) -> Code | None:
    """What the error of a call that must fail means."""
    with pytest.raises(Exception, match=r".") as caught:
        await attempt
    return registry.classify(caught.value)


async def test_registrations_survive_a_restart_and_calls_go_on(server: AsyncServer, opened: Open) -> None:
    registry = await opened(PostgresRegistry, options(server))
    [stored] = await registry.set([write("alice")])
    assert isinstance(stored, Stored)
    await server.restart()
    assert await registry.get(["alice"]) == [stored.registration]
    [again] = await registry.set([write("bob")])
    assert isinstance(again, Stored)


async def test_no_acknowledged_write_is_lost_when_the_server_is_killed(server: AsyncServer, opened: Open) -> None:
    registry = await opened(PostgresRegistry, options(server))
    acknowledged: set[str] = set()
    unknown: set[str] = set()

    async def work(worker: int) -> None:
        for i in range(10_000):
            names = [f"{worker}-{i}-{n}" for n in range(20)]
            try:
                outcomes = await registry.set([write(name) for name in names])
            except Exception as error:
                if registry.classify(error) not in LOST:
                    raise
                unknown.update(names)
                return
            acknowledged.update(
                name for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, Stored)
            )

    async with asyncio.TaskGroup() as group:
        for worker in range(4):
            group.create_task(work(worker))
        while len(acknowledged) < 400:  # noqa: ASYNC110 - the workers don't say
            await asyncio.sleep(0.005)
        await server.kill()
    await server.restart()
    await until_served(registry)
    there = {name async for page in registry.scan(Query()) for name in page.identities}
    assert acknowledged <= there
    assert there <= acknowledged | unknown
    for worker in range(4):  # a lot that wasn't acknowledged is there as a whole, or not at all
        lost = [name for name in unknown if name.startswith(f"{worker}-")]
        assert len({name in there for name in lost}) <= 1
    assert await registry.count(()) == len(there)


async def test_connection_that_was_cut_is_replaced_and_reads_are_repeated(server: AsyncServer, opened: Open) -> None:
    async with FaultProxy(server.host, server.port) as proxy:
        registry = await opened(PostgresRegistry, options(server, connection=proxy.url(server.url), pool_size=2))
        await registry.set([write("alice")])
        await proxy.cut()
        [found] = await registry.get(["alice"])
        assert found is not None
        await proxy.cut_after(20, Direction.DOWN)
        [found] = await registry.get(["alice"])
        assert found is not None
        await proxy.cut()
        assert isinstance((await registry.expire([Renewal("alice", "r1", HOUR)]))[0], Renewed)


async def test_write_whose_answer_was_lost_is_of_unknown_effect_and_not_repeated(
    server: AsyncServer, opened: Open
) -> None:
    async with FaultProxy(server.host, server.port) as proxy:
        registry = await opened(PostgresRegistry, options(server, connection=proxy.url(server.url), pool_size=1))
        direct = await opened(PostgresRegistry, options(server))
        await registry.set([write("alice")])
        [before] = await direct.get(["alice"])
        await proxy.cut_after(30, Direction.DOWN)
        changing = registry.set([write("alice", b'{"a":2}')])
        assert await code_of(registry, changing) is Code.DEADLINE_EXCEEDED
        await until_served(registry)
        [after] = await direct.get(["alice"])
        assert before is not None
        assert after is not None
        assert after.metadata_json in (b'{"a":1}', b'{"a":2}')
        [again] = await registry.set([write("alice", b'{"a":3}')])
        assert isinstance(again, Stored)


async def test_server_that_does_not_answer_is_given_up_in_time(server: AsyncServer, opened: Open) -> None:
    registry = await opened(PostgresRegistry, options(server, statement_timeout=0.5, acquire_timeout=0.5))
    await registry.set([write("alice")])
    await server.pause()
    try:
        async with asyncio.timeout(20):
            assert await code_of(registry, registry.set([write("alice")])) is Code.DEADLINE_EXCEEDED
    finally:
        await server.resume()
    await until_served(registry)
    [found] = await registry.get(["alice"])
    assert found is not None


async def test_call_is_cancelled_while_it_waits_for_a_lock(server: AsyncServer, opened: Open) -> None:
    registry = await opened(PostgresRegistry, options(server))
    await registry.set([write("alice"), write("bob")])
    other = await asyncpg.connect(server.url)
    locked = other.transaction()
    await locked.start()
    await other.execute(f'SELECT FROM "{registry._config.db_schema}".leases FOR UPDATE')
    call = asyncio.create_task(registry.set([write("alice", b'{"a":2}'), write("carol")]))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while not await other.fetchval(waiting):  # noqa: ASYNC110 - the server doesn't say
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await locked.rollback()
    await other.close()
    found = await registry.get(["alice", "bob", "carol"])
    assert [item and item.metadata_json for item in found] == [b'{"a":1}', b'{"a":1}', None]
    assert await registry.count(()) == 2


async def set_read_only(server: AsyncServer, state: str) -> None:
    """Makes a server take no writes, or take them again; also those who are connected already."""
    admin = await asyncpg.connect(server.url)
    await admin.execute("SET default_transaction_read_only = off")
    await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()
    async with asyncio.timeout(10):
        while True:
            probe = await asyncpg.connect(server.url)
            shown = await probe.fetchval("SHOW default_transaction_read_only")
            await probe.close()
            if shown == state:
                return


async def test_read_only_server_refuses_writes_as_a_whole_and_answers_reads(server: AsyncServer, opened: Open) -> None:
    registry = await opened(PostgresRegistry, options(server))
    [stored] = await registry.set([write("alice")])
    assert isinstance(stored, Stored)

    await set_read_only(server, "on")
    async with asyncio.timeout(10):
        while True:
            try:
                await registry.check()
            except Unavailable:
                break
    for attempt in (
        registry.set([write("alice", b'{"a":2}'), write("bob")]),
        registry.delete([Fence("alice")]),
        registry.expire([Renewal("alice", "r1", 2 * HOUR)]),
    ):
        assert await code_of(registry, attempt) is Code.UNAVAILABLE
    assert await registry.get(["alice", "bob"]) == [stored.registration, None]
    await set_read_only(server, "off")
    await until_served(registry)
    [again] = await registry.set([write("bob")])
    assert isinstance(again, Stored)
    assert await registry.count(()) == 2


async def test_of_several_hosts_the_one_that_takes_writes_is_used_when_they_change_places(
    server: AsyncServer, opened: Open
) -> None:
    async with await AsyncServer.start("postgres") as second:
        hosts = f"{server.server.host}:{server.server.port},{second.server.host}:{second.server.port}"
        config = options(server, pool_size=3)
        await opened(PostgresRegistry, config)
        await opened(PostgresRegistry, {**config, "connection": second.url})
        await set_read_only(second, "on")
        registry = await opened(PostgresRegistry, {**config, "connection": f"postgres://prism@{hosts}/postgres"})
        assert isinstance((await registry.set([write("first")]))[0], Stored)
        await asyncio.gather(*(registry.check() for _ in range(3)))  # a pool full of connections
        await set_read_only(server, "on")
        await set_read_only(second, "off")
        async with asyncio.timeout(10):
            while await registry.get(["first"]) != [None]:  # until all that are connected have heard of it
                [stored] = await registry.set([write("second")])
                assert isinstance(stored, Stored)
        found = await asyncio.gather(*(registry.get(["second"]) for _ in range(3)))
        assert found == [[stored.registration]] * 3


async def test_lot_that_fails_fails_alone(server: AsyncServer, opened: Open) -> None:
    registry = await opened(PostgresRegistry, options(server))
    await registry.set([write("bad")])
    admin = await asyncpg.connect(server.url, server_settings={"search_path": registry._config.db_schema})
    await admin.execute(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE TRIGGER full_disk BEFORE UPDATE ON registrations FOR EACH ROW EXECUTE FUNCTION no_room()"
    )
    await admin.close()
    # One identity twice makes two lots: the second has to overwrite.
    first, second = await registry.set([write("good"), write("good", b'{"a":2}')])
    assert isinstance(first, Stored)
    assert isinstance(second, Failure)
    assert isinstance(second.error, Unavailable)
    assert "no space left on device" in second.error.message
    with pytest.raises(asyncpg.DiskFullError):
        await registry.set([write("new"), write("bad", b'{"a":2}')])
    found = await registry.get(["good", "bad", "new"])
    assert [item and item.metadata_json for item in found] == [b'{"a":1}', b'{"a":1}', None]
    assert await registry.delete([Fence("good", "other")]) == [Refused(Refusal.STALE)]


async def test_concurrent_batches_in_opposite_orders_all_succeed(config: dict[str, Any], opened: Open) -> None:
    registry = await opened(PostgresRegistry, config)
    names = [f"user-{i:03d}" for i in range(200)]
    await registry.set([write(name) for name in names])

    async def churn(order: list[str], turn: int) -> None:
        outcomes = await registry.set([write(name, b'{"a":%d}' % turn) for name in order])
        assert all(isinstance(outcome, Stored) for outcome in outcomes)
        renewed = await registry.expire([Renewal(name, None, HOUR) for name in order])
        assert all(isinstance(outcome, Renewed) for outcome in renewed)

    async with asyncio.TaskGroup() as group:
        for turn in range(20):
            group.create_task(churn(names if turn % 2 else names[::-1], turn))
    assert await registry.count(()) == 200


@pytest.mark.parametrize("removes", [False, True])
async def test_identity_that_comes_and_goes_while_a_batch_waits_has_one_outcome(
    removes: bool, config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    registry = await opened(PostgresRegistry, config, audit=True)
    other = await asyncpg.connect(config["connection"], server_settings={"search_path": config["schema"]})
    await registry.set([write("alice")])
    try:
        async with bare.transaction():
            await bare.execute("SELECT FROM leases WHERE identity = 'alice' FOR UPDATE")
            removal, writing = [Fence("alice"), Fence("bob")], [write("alice"), write("bob")]
            waiting = asyncio.ensure_future(registry.delete(removal) if removes else registry.set(writing))
            await until_locked(other, 1)
            await registry.set([write("bob", b'{"a":2}')])
            gone = other.transaction()
            await gone.start()
            await other.execute("DELETE FROM leases WHERE identity = 'bob'")
            await other.execute("DELETE FROM registrations WHERE identity = 'bob'")
        await until_locked(bare, 1)  # for bob now, who is seen and about to be gone
        await gone.commit()
        [_, outcome] = await waiting
        [found] = await registry.get(["bob"])
        if removes:
            assert (outcome, found) == (Refused(Refusal.NOT_FOUND), None)
        else:
            assert isinstance(outcome, Stored)
            assert found == outcome.registration
    finally:
        await other.close()


async def test_what_expires_while_its_heartbeat_waits_for_a_lock_stays_expired(
    config: dict[str, Any], opened: Open, bare: asyncpg.Connection
) -> None:
    registry = await opened(PostgresRegistry, config)
    await registry.set([Write("alice", b"{}", "r1", SECOND // 5, Anything()), write("bob")])
    async with bare.transaction():
        await bare.execute("SELECT FROM leases WHERE identity = 'alice' FOR UPDATE")
        beats = asyncio.create_task(registry.expire([Renewal("alice", "r1", HOUR), Renewal("bob", "r1", HOUR)]))
        async with asyncio.timeout(10):
            while await registry.get(["alice"]) != [None]:  # noqa: ASYNC110 - nothing says when it expires
                await asyncio.sleep(0.02)
    lost, renewed = await beats
    assert lost == Refused(Refusal.NOT_FOUND)
    assert isinstance(renewed, Renewed)
    assert await registry.get(["alice"]) == [None]


async def until_locked(bare: asyncpg.Connection, count: int) -> None:
    """Waits until so many wait for a lock of another's."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(10):
        while await bare.fetchval(waiting) < count:  # noqa: ASYNC110 - nothing says when it does
            await asyncio.sleep(0.01)


def test_errors_of_the_server_are_classified() -> None:
    assert classify(asyncpg.DiskFullError("x")) is Code.UNAVAILABLE
    assert classify(asyncpg.TooManyConnectionsError("x")) is Code.UNAVAILABLE
    assert classify(asyncpg.ReadOnlySQLTransactionError("x")) is Code.UNAVAILABLE
    assert classify(asyncpg.DeadlockDetectedError("x")) is Code.UNAVAILABLE
    assert classify(asyncpg.QueryCanceledError("x")) is Code.DEADLINE_EXCEEDED
    assert classify(asyncpg.AdminShutdownError("x")) is Code.DEADLINE_EXCEEDED
    assert classify(asyncpg.InsufficientPrivilegeError("x")) is Code.UNAVAILABLE
    assert classify(asyncpg.UndefinedTableError("x")) is Code.INVALID_CONFIG
    assert classify(asyncpg.ProgramLimitExceededError("x")) is Code.LIMIT_EXCEEDED
    assert classify(asyncpg.DivisionByZeroError("x")) is Code.INTERNAL


@pytest.mark.soak
async def test_full_disk_is_unavailable_and_leaves_no_half_of_a_lot(
    server: AsyncServer, opened: Open, tiny_disk: Path
) -> None:
    """Our tables on a file system that fills up. Run as root: it mounts one."""
    reserve = await on_disk(server, tiny_disk)
    registry = await opened(PostgresRegistry, options(server))
    acknowledged: list[str] = []
    for lot in range(200):
        names = [f"{lot:03d}-{n:02d}" for n in range(40)]
        try:
            outcomes = await registry.set(
                [write(name, b'{"x":"%s"}' % os.urandom(3_000).hex().encode()) for name in names]
            )
        except asyncpg.DiskFullError:
            break
        assert all(isinstance(outcome, Stored) for outcome in outcomes)
        acknowledged += names
    else:
        raise AssertionError("the disk never filled up")
    there = [name async for page in registry.scan(Query()) for name in page.identities]
    assert there == acknowledged
    assert await registry.count(()) == len(acknowledged)
    reserve.unlink()
    [again] = await registry.set([write("later")])
    assert isinstance(again, Stored)
