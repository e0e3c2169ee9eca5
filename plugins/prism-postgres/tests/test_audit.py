"""The audit: written with its effect or not at all, appended to alone, kept as long as configured."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from prism import Client, acting_as
from prism.config import load_config
from prism.coordinator.upkeep import audit as read_audit
from prism.model.audit import AuditEntry, AuditKind, AuditQuery
from prism.model.errors import InvalidConfig, InvalidFilter, PrismError
from prism.server.app import Proxy
from prism.slots.context import SlotContext
from prism.slots.registry import Absent, Anything, Fence, Stored, Write
from prism_postgres.auditing import maintain
from prism_postgres.config import PostgresConfig
from prism_postgres.pool import borrow, give_back
from prism_postgres.registry import PostgresRegistry

from .conftest import Open

NS = "default"
EVERYTHING = AuditQuery(limit=1_000)


def write(identity: str) -> Write:
    return Write(identity, b'{"room":"a"}', "r1", None, Anything())


def configured(options: dict[str, Any]) -> dict[str, Any]:
    slot = {"type": "postgres", **options}
    namespace = {"name": NS, "pattern": "multicast-registry", "needs": {"audit": True}}
    return {"namespaces": [{**namespace, "backend_slots": {"registry": slot, "messaging": slot}}]}


@pytest.fixture
async def registry(config: dict[str, Any], opened: Open) -> PostgresRegistry:
    made: PostgresRegistry = await opened(PostgresRegistry, config, audit=True)
    return made


async def refuse_entries(bare: asyncpg.Connection) -> None:
    """Makes every new entry fail."""
    await bare.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no audit'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse()"
    )


async def test_effect_whose_entry_fails_does_not_happen(registry: PostgresRegistry, bare: asyncpg.Connection) -> None:
    await registry.set([write("alice")])
    [before] = await registry.get(["alice"])
    await refuse_entries(bare)
    for attempt in (registry.set([write("alice"), write("bob")]), registry.delete([Fence("alice")])):
        with pytest.raises(asyncpg.RaiseError, match="no audit"):
            await attempt
    assert await registry.get(["alice", "bob"]) == [before, None]
    assert await registry.count(()) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "TRUNCATE audit_default",
        "TRUNCATE {month}",
        "DELETE FROM {month}",
        "UPDATE {month} SET actor = 'nobody'",
    ],
)
async def test_entries_are_neither_changed_nor_removed(
    change: str, registry: PostgresRegistry, bare: asyncpg.Connection
) -> None:
    await registry.set([write("alice")])
    month = await bare.fetchval("SELECT tableoid::regclass::text FROM audit")
    assert month.startswith("audit_2")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="the audit is only appended to"):
        await bare.execute(change.format(month=month))
    assert len(await registry.audit(EVERYTHING)) == 1


async def test_entries_without_a_partition_of_their_month_are_kept_too(
    registry: PostgresRegistry, bare: asyncpg.Connection
) -> None:
    for row in await bare.fetch(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = $1 AND tablename ~ '^audit_2'",
        registry._config.db_schema,
    ):
        await bare.execute(f"DROP TABLE {row['name']}")
    await registry.set([write("alice")])
    assert [entry.identity for entry in await registry.audit(EVERYTHING)] == ["alice"]
    made, dropped = await maintain(registry._database, registry._config.db_schema)
    assert len(made) == 3  # this month's entries are in the default partition already
    assert dropped == []
    await registry.set([write("bob")])
    assert [entry.identity for entry in await registry.audit(EVERYTHING)] == ["bob", "alice"]


async def old_partition(bare: asyncpg.Connection, months: int) -> str:
    """A partition with an entry, so many months ago."""
    first = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(months):
        first = (first - dt.timedelta(days=1)).replace(day=1)
    end = (first + dt.timedelta(days=32)).replace(day=1)
    name = f"audit_{first:%Y%m}"
    await bare.execute(f"CREATE TABLE {name} PARTITION OF audit FOR VALUES FROM ('{first}') TO ('{end}')")
    await bare.execute(
        "INSERT INTO audit (at, namespace, kind, actor, identity)"
        " SELECT $1, number, 'register', '', 'old' FROM namespaces",
        first + dt.timedelta(days=3),
    )
    return name


@pytest.mark.parametrize(("days", "kept"), [(None, True), (400, True), (30, False)])
async def test_months_older_than_the_retention_are_dropped(
    days: int | None, kept: bool, config: dict[str, Any], bare: asyncpg.Connection
) -> None:
    slot = PostgresRegistry(PostgresConfig(**{**config, "audit_days": days}), SlotContext("test", audit=True))
    await slot.migrate(prune=False)
    old, recent = await old_partition(bare, 3), await old_partition(bare, 1)
    await slot.open()
    try:
        names = {entry.at for entry in await slot.audit(EVERYTHING)}
        assert len(names) == (2 if kept else 1)
        left = await bare.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit'::regclass"
        )
        assert (old in {row["name"] for row in left}) == kept
        assert recent in {row["name"] for row in left}
    finally:
        await slot.close()


async def test_writers_do_not_wait_for_long_when_partitions_can_not_be_made(
    registry: PostgresRegistry, bare: asyncpg.Connection
) -> None:
    months = await bare.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit'::regclass"
    )
    last = max(row["name"] for row in months if row["name"] != "audit_default")
    await bare.execute(f"DROP TABLE {last}")
    async with bare.transaction():
        await bare.fetch("SELECT FROM audit")  # as a long reader does, pg_dump for example
        making = asyncio.create_task(maintain(registry._database, registry._config.db_schema))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            assert isinstance((await registry.set([write("alice")]))[0], Stored)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await making
    made, _ = await maintain(registry._database, registry._config.db_schema)
    assert len(made) == 1


async def test_longest_retention_of_a_schema_counts(
    config: dict[str, Any], bare: asyncpg.Connection, opened: Open
) -> None:
    await opened(PostgresRegistry, {**config, "audit_days": 400}, namespace="long", audit=True)
    old = await old_partition(bare, 3)
    short = await opened(PostgresRegistry, {**config, "audit_days": 30}, namespace="short", audit=True)
    assert await short.pending(prune=True) == []
    assert await bare.fetchval("SELECT to_regclass($1) IS NOT NULL", old)


async def test_read_goes_on_where_nothing_is_recorded_any_more(
    config: dict[str, Any], registry: PostgresRegistry
) -> None:
    await registry.set([write("alice")])
    slot = PostgresRegistry(registry._config, SlotContext("test"))
    await slot.open()
    await slot.set([write("bob")])
    assert [entry.identity for entry in await slot.audit(EVERYTHING)] == ["alice"]
    await slot.close()


@pytest.fixture
async def client(config: dict[str, Any]) -> AsyncIterator[Client]:
    async with Client.embedded(NS, configured(config)) as client:
        yield client


async def entries(config: dict[str, Any]) -> list[tuple[str, str, str]]:
    namespace = load_config(configured(config)).namespaces[NS]
    found = await read_audit(namespace, EVERYTHING)
    return [(entry.kind.value, entry.actor, entry.identity) for entry in reversed(found)]


async def test_multicast_is_recorded_before_and_after(config: dict[str, Any], client: Client) -> None:
    for name in ("alice", "bob"):
        await client.registry.register(name, {"room": "a"})
    with acting_as("ops"):
        result = await client.registry.multicast({"room": "a", "name.ne": "x"}, b"hello", timeout=0)
    found = await read_audit(load_config(configured(config)).namespaces[NS], AuditQuery(message_id=result.message_id))
    last, first = found
    assert (first.kind, last.kind) == (AuditKind.MULTICAST, AuditKind.MULTICAST_RESULT)
    assert first.actor == last.actor == "ops"
    assert first.filter == last.filter == {"room": "a", "name.ne": "x"}
    assert (first.targets, last.targets) == (None, 2)
    assert last.outcomes is not None
    assert sum(last.outcomes.values()) == 2


async def test_multicast_whose_intent_is_not_recorded_reaches_nobody(
    config: dict[str, Any], client: Client, bare: asyncpg.Connection
) -> None:
    async with client.registry.attach("alice", {"room": "a"}) as inbox:
        await client.registry.multicast({"room": "a"}, b"first")
        await refuse_entries(bare)
        with pytest.raises(PrismError, match="record a multicast in the audit"):
            await client.registry.multicast({"room": "a"}, b"second")
        await bare.execute("DROP TRIGGER refuse ON audit")
        await client.registry.multicast({"room": "a"}, b"third")
        received = [(await anext(inbox)).payload for _ in range(2)]
    assert received == [b"first", b"third"]


async def test_filter_that_is_refused_is_no_intent(config: dict[str, Any], client: Client) -> None:
    with pytest.raises(InvalidFilter):
        await client.registry.multicast({"room.lt": None}, b"x")
    assert await entries(config) == []


async def test_actor_comes_with_the_call_and_its_peer(config: dict[str, Any]) -> None:
    async with Proxy(load_config(configured(config)), listen="127.0.0.1:0", http_listen="127.0.0.1:0") as proxy:
        async with Client(NS, proxy.address) as client:
            await client.registry.register("alice", {"room": "a"})
            with acting_as("Büro (1)"):
                await client.registry.unregister("alice")
                async with client.registry.attach("bob", {}):
                    pass
    plain, named, attached, left = await entries(config)
    assert plain[0] == "register"
    assert plain[1].startswith("ipv4:127.0.0.1:")
    assert named[0] == "unregister"
    assert named[1].startswith("Büro (1) (ipv4:127.0.0.1:")
    assert (attached[0], attached[2], left[0]) == ("register", "bob", "unregister")
    assert attached[1].startswith("Büro (1) (ipv4:127.0.0.1:")


async def test_actor_is_found_by_name_and_by_peer(config: dict[str, Any], registry: PostgresRegistry) -> None:
    recorded = [
        "ops (ipv4:127.0.0.1:54708)",
        "ops (night) (ipv6:[::1]:7)",
        "ipv4:127.0.0.1:9",
        "ipv4:127.0.0.10:9",
        "%",
        "op_",
    ]
    await registry.record([AuditEntry(AuditKind.MULTICAST, actor, message_id=actor) for actor in recorded])

    async def found(actor: str) -> list[str]:
        return [entry.actor for entry in reversed(await registry.audit(AuditQuery(actor=actor)))]

    assert await found("ops") == recorded[:2]
    assert await found("ops (night)") == recorded[1:2]
    assert await found("127.0.0.1") == [recorded[0], recorded[2]]
    assert await found("ipv4:127.0.0.1:9") == [recorded[2]]
    assert await found("::1") == await found("ipv6:[::1]") == [recorded[1]]
    assert await found(recorded[0]) == [recorded[0]]
    assert [await found(text) for text in ("%", "op_", "o", "' OR true --")] == [["%"], ["op_"], [], []]


async def test_expiry_is_the_proxys(config: dict[str, Any], client: Client) -> None:
    await client.registry.register("alice", {"room": "a"}, ttl=1)
    found: list[tuple[str, str, str]] = []
    async with asyncio.timeout(10):
        while len(found) < 2:
            await asyncio.sleep(0.1)
            found = await entries(config)
    assert found[1][0] == "expire"
    assert found[1][1].startswith("expiry at proxy-")


async def test_expiry_is_recorded_where_another_takes_the_place_before_the_sweep(registry: PostgresRegistry) -> None:
    [first] = await registry.set([Write("alice", b"{}", "r1", 1_000, Anything())])
    assert isinstance(first, Stored)
    await asyncio.sleep(0.05)
    with acting_as("bob"):
        await registry.set([Write("alice", b"{}", "r2", None, Absent()), write("carol")])
    assert await registry.pop_expired(10) == []
    found = [(e.kind, e.registration_id, e.actor) for e in await registry.audit(AuditQuery(identity="alice"))]
    assert found == [
        (AuditKind.REGISTER, "r2", "bob"),
        (AuditKind.EXPIRE, "r1", "bob"),
        (AuditKind.REGISTER, "r1", ""),
    ]
    [expired] = await registry.audit(AuditQuery(kinds=frozenset({AuditKind.EXPIRE})))
    assert expired.revision == first.registration.revision


def test_namespace_that_needs_audit_is_refused_by_a_registry_without() -> None:
    slots = {"registry": {"type": "memory"}, "messaging": {"type": "memory"}}
    source = {
        "namespaces": [{"name": NS, "pattern": "multicast-registry", "needs": {"audit": True}, "backend_slots": slots}]
    }
    with pytest.raises(InvalidConfig, match=r'type "memory" does not \(audit\); use postgres'):
        load_config(source)


async def test_pool_is_given_back_by_upkeep(config: dict[str, Any], registry: PostgresRegistry) -> None:
    database = await borrow(PostgresConfig(**config))
    assert await registry.pending(prune=True) == []
    assert await database.fetch("SELECT 1 AS one")
    await give_back(database)
