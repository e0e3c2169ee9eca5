"""Tables are made once, checked always, and never by a proxy that wasn't told to."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import asyncpg
import pytest
from prism.model.errors import InvalidConfig
from prism.model.limits import Limits
from prism.slots.context import SlotContext
from prism.slots.registry import Absent, Write
from prism_conformance.servers import shared
from prism_postgres.config import PostgresConfig
from prism_postgres.durability import PostgresDurability
from prism_postgres.messaging import PostgresMessaging
from prism_postgres.registry import PostgresRegistry

from .conftest import Open

SLOTS = (PostgresRegistry, PostgresMessaging, PostgresDurability)


def slot(kind: Any, config: dict[str, Any], **more: Any) -> Any:
    return kind(PostgresConfig(**{**config, "auto_migrate": False, **more}), SlotContext("test"))


async def opens(made: Any) -> None:
    try:
        await made.open()
    finally:
        await made.close()


@pytest.mark.parametrize("kind", SLOTS)
async def test_slot_without_its_tables_does_not_open_and_says_what_to_do(kind: Any, config: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=r"run prism migrate --config FILE, or set auto_migrate: true"):
        await opens(slot(kind, config))


@pytest.mark.parametrize("kind", SLOTS)
async def test_slot_whose_tables_were_migrated_opens(kind: Any, config: dict[str, Any]) -> None:
    made = slot(kind, config)
    listed = await made.pending(prune=False)
    assert listed
    assert await made.migrate(prune=False) == listed
    assert await made.pending(prune=False) == []
    assert await made.migrate(prune=False) == []
    await opens(made)


async def test_of_many_who_start_at_once_one_makes_the_tables(config: dict[str, Any], bare: asyncpg.Connection) -> None:
    made = [slot(kind, config, auto_migrate=True) for kind in SLOTS * 4]
    await asyncio.gather(*map(opens, made))
    rows = await bare.fetch("SELECT module, count(*) AS steps, max(version) AS version FROM migrations GROUP BY module")
    assert {row["module"] for row in rows} >= {"namespaces", "registry", "audit", "queues", "topics"}
    assert all(row["steps"] == row["version"] for row in rows)


@pytest.mark.parametrize("auto", [True, False])
async def test_tables_that_are_newer_than_the_code_are_refused(
    auto: bool, config: dict[str, Any], bare: asyncpg.Connection
) -> None:
    made = slot(PostgresRegistry, config, auto_migrate=auto)
    await made.migrate(prune=False)
    await bare.execute("INSERT INTO migrations (module, version) VALUES ('registry', 99)")
    for attempt in (opens(made), made.pending(prune=False), made.migrate(prune=False)):
        with pytest.raises(
            InvalidConfig, match=r"registry at version 99, and this prism-postgres knows \d+; upgrade it"
        ):
            await attempt


async def test_failed_step_leaves_nothing_behind(config: dict[str, Any], bare: asyncpg.Connection) -> None:
    await bare.execute(f'CREATE SCHEMA "{config["schema"]}"')
    await bare.execute("CREATE TABLE registrations (mine int)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await slot(PostgresRegistry, config).migrate(prune=False)
    rows = await bare.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", config["schema"])
    assert [row["tablename"] for row in rows] == ["registrations"]


async def test_database_in_another_encoding_is_refused(config: dict[str, Any], bare: asyncpg.Connection) -> None:
    await bare.execute(f"CREATE DATABASE \"{config['schema']}\" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = config["connection"].rpartition("/")[0] + f"/{config['schema']}"
    with pytest.raises(InvalidConfig, match="encoded in LATIN1; make one with ENCODING 'UTF8'"):
        await opens(slot(PostgresRegistry, config, connection=url))


async def test_isolation_that_a_database_is_set_to_does_not_matter_unless_a_pooler_hides_it(
    config: dict[str, Any], bare: asyncpg.Connection
) -> None:
    name = config["schema"]
    await bare.execute(f'CREATE DATABASE "{name}"')
    await bare.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'")
    url = config["connection"].rpartition("/")[0] + f"/{name}"
    # Pools of their own, so that they do meet.
    alone = [{"connection": url, "auto_migrate": True, "acquire_timeout": 10.0 + i} for i in range(4)]
    await asyncio.gather(*(opens(slot(PostgresRegistry, config, **options)) for options in alone))
    limited = SlotContext("test", limits=Limits(registrations=10))
    made = [PostgresRegistry(PostgresConfig(**{**config, **options}), limited) for options in alone]
    await asyncio.gather(*(each.open() for each in made))
    try:
        writes = [Write(f"user-{i}", b"{}", "r1", None, Absent()) for i in range(20)]
        await asyncio.gather(*(made[i % 4].set([write]) for i, write in enumerate(writes)))
        assert await made[0].count(()) == 10
    finally:
        await asyncio.gather(*(each.close() for each in made))
    with pytest.raises(InvalidConfig, match="is repeatable read; set it to read committed"):
        await opens(slot(PostgresRegistry, config, connection=url, pooler=True))


async def test_wrong_credentials_and_databases_are_mistakes_in_the_configuration(config: dict[str, Any]) -> None:
    server = shared("postgres")
    for url in (f"postgres://nobody@{server.host}:{server.port}/postgres", server.url + "_that_is_not_there"):
        made = slot(PostgresRegistry, config, connection=url)
        with pytest.raises(Exception, match="can't connect") as caught:
            await opens(made)
        assert made.classify(caught.value) == "invalid_config"
    assert re.search(r'does not exist; make it: CREATE DATABASE ".*_that_is_not_there" ENCODING', str(caught.value))


async def test_server_that_is_not_there_is_unavailable(config: dict[str, Any]) -> None:
    made = slot(PostgresRegistry, config, connection="postgres://prism@127.0.0.1:1/x", connect_timeout=1.0)
    reason = r"can't connect: no PostgreSQL server answers at 127\.0\.0\.1:1 \(connection refused\)"
    with pytest.raises(Exception, match=reason) as caught:
        await opens(made)
    assert made.classify(caught.value) == "unavailable"


async def test_namespace_that_is_new_beside_others_is_said_to_be(
    config: dict[str, Any], opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    first = await opened(PostgresRegistry, config, namespace="fleet")
    await opened(PostgresRegistry, config, namespace="empty")
    assert "is new in schema" not in caplog.text
    await first.set([Write("alice", b"{}", "r", None, Absent())])
    said = f"namespace 'cars' is new in schema \"{config['schema']}\", which has registrations of 'fleet'; a namespace"
    renamed = PostgresRegistry(PostgresConfig(**config), SlotContext("cars"))
    assert await renamed.pending(prune=False) == []
    assert caplog.text.count(said) == 1
    await opened(PostgresRegistry, config, namespace="cars")
    assert caplog.text.count(said) == 2
    await opened(PostgresRegistry, config, namespace="cars")
    assert caplog.text.count(said) == 2


async def test_namespaces_of_one_schema_have_numbers_that_last(config: dict[str, Any], opened: Open) -> None:
    first = await opened(PostgresRegistry, config, namespace="a")
    await opened(PostgresRegistry, config, namespace="b")
    await first.set([Write("alice", b"{}", "r", None, Absent())])
    again = await opened(PostgresRegistry, config, namespace="a")
    assert [found is not None for found in await again.get(["alice"])] == [True]
