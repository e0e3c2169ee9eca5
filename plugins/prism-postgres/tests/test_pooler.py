"""Behind a pooler in transaction mode, with `pooler: true`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from prism.filters.parse import parse
from prism.model.limits import Limits
from prism.model.time import SECOND
from prism.slots.registry import Absent, Fence, Query, Renewal, Stored, Write
from prism_conformance import RegistryContract, Subject
from prism_conformance.servers import shared
from prism_postgres.registry import PostgresRegistry

from .conftest import Open, config_of
from .pooler import Pooler


@pytest.fixture
async def pooler() -> AsyncIterator[Pooler]:
    server = shared("postgres")
    async with Pooler(server.host, server.port, "prism", "postgres", size=4).running() as pooler:
        yield pooler


@pytest.fixture
def behind(pooler: Pooler) -> dict[str, Any]:
    """A configuration that goes through the pooler."""
    return config_of(connection=f"postgres://prism@127.0.0.1:{pooler.port}/postgres?sslmode=disable", pooler=True)


async def test_registry_works_behind_a_pooler(pooler: Pooler, behind: dict[str, Any], opened: Open) -> None:
    registry = await opened(PostgresRegistry, {**behind, "indexes": [{"field": "room"}]}, audit=True)
    names = [f"user-{i:04d}" for i in range(500)]

    async def work(part: list[str]) -> None:
        writes = [Write(name, b'{"room":"r%d"}' % (i % 5), "r1", 60 * SECOND, Absent()) for i, name in enumerate(part)]
        assert all(isinstance(outcome, Stored) for outcome in await registry.set(writes))
        await registry.expire([Renewal(name, "r1", 60 * SECOND) for name in part])
        assert None not in await registry.get(part)
        await registry.delete([Fence(part[0])])

    async with asyncio.TaskGroup() as group:
        for start in range(0, 500, 50):
            group.create_task(work(names[start : start + 50]))
    query = Query((parse({"room": "r1"}, Limits()),), page_size=7)
    assert sum([len(page) async for page in registry.scan(query)]) == 100
    assert await registry.count(()) == 490
    assert len(pooler.served) == 4  # every connection to the server was used, by transactions of all


async def test_without_the_option_a_pooler_is_noticed(pooler: Pooler, behind: dict[str, Any], opened: Open) -> None:
    registry = await opened(PostgresRegistry, behind)
    plain = PostgresRegistry(registry._config.model_copy(update={"pooler": False}), registry._context)
    try:
        with pytest.raises(asyncpg.PostgresError):  # a prepared statement that is another connection's
            await used(plain)
    finally:
        await plain.close()


async def used(registry: PostgresRegistry) -> None:
    await registry.open()
    for _ in range(10):
        await registry.check()


class TestRegistryBehindAPooler(RegistryContract):
    """The whole contract: `make soak`."""

    pytestmark = pytest.mark.soak

    @pytest.fixture
    def subject(self, behind: dict[str, Any]) -> Subject:
        return Subject("postgres", behind)
