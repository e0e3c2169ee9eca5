"""Large scans: streamed, given up by slow readers, gone on with where they stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
from prism.filters.ast import MetadataField, SortKey
from prism.model.time import SECOND
from prism.slots.registry import Absent, Projection, Query, ScanPage, Stored, Write
from prism_conformance.servers import AsyncServer, FaultProxy
from prism_postgres import streaming
from prism_postgres.registry import PostgresRegistry

from .conftest import Open, config_of

MANY = 4_000
BY_A = (SortKey(MetadataField(("a",)), descending=True),)


async def filled(opened: Open, config: dict[str, Any]) -> PostgresRegistry:
    registry: PostgresRegistry = await opened(PostgresRegistry, config)
    writes = [Write(f"user-{i:05d}", b'{"a":%d}' % (i % 7), "r1", None, Absent()) for i in range(MANY)]
    assert all(isinstance(outcome, Stored) for outcome in await registry.set(writes))
    return registry


def expected(sort: Sequence[SortKey]) -> list[str]:
    return [f"user-{i:05d}" for i in sorted(range(MANY), key=lambda i: (-(i % 7) if sort else 0, i))]


async def names(pages: AsyncIterator[ScanPage]) -> list[str]:
    return [name async for page in pages for name in page.identities]


async def sessions(bare: asyncpg.Connection) -> int:
    """How many connections are in the middle of a transaction on this test's schema."""
    found: int = await bare.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE state LIKE 'idle in transaction%' AND position(current_schema() IN query) > 0"
    )
    return found


@pytest.mark.parametrize("sort", [(), BY_A], ids=["by identity", "sorted"])
async def test_slow_reader_holds_no_connection_and_misses_nothing(
    sort: tuple[SortKey, ...], config: dict[str, Any], opened: Open, bare: asyncpg.Connection, monkeypatch: Any
) -> None:
    monkeypatch.setattr(streaming, "IDLE", 0.02)
    registry = await filled(opened, {**config, "pool_size": 1})
    met: list[str] = []
    pages = registry.scan(Query(page_size=500, sort=sort, projection=Projection.TARGETS))
    async for page in pages:
        met += page.identities
        if len(met) in (1_000, 2_500):
            async with asyncio.timeout(5):
                while await sessions(bare):  # noqa: ASYNC110 - the server doesn't say
                    await asyncio.sleep(0.01)
            await registry.check()  # there is but one connection
    assert met == expected(sort)


async def test_stream_that_is_too_old_is_begun_anew(config: dict[str, Any], opened: Open, monkeypatch: Any) -> None:
    monkeypatch.setattr(streaming, "LIFETIME", 0.0)
    registry = await filled(opened, config)
    assert await names(registry.scan(Query(page_size=700, sort=BY_A))) == expected(BY_A)
    assert await names(registry.scan(Query(page_size=700, limit=2_800))) == expected(())[:2_800]


async def test_scan_that_is_left_gives_its_connection_back(config: dict[str, Any], opened: Open) -> None:
    registry = await filled(opened, {**config, "pool_size": 1, "acquire_timeout": 5.0})
    for _ in range(3):
        pages = registry.scan(Query(page_size=100))
        for _ in range(3):
            await anext(pages)
        await pages.aclose()  # type: ignore[attr-defined]
        await registry.check()


async def test_scan_goes_on_after_its_connection_was_cut(opened: Open) -> None:
    async with await AsyncServer.start("postgres") as server, FaultProxy(server.host, server.port) as proxy:
        registry = await filled(opened, config_of(server.server, connection=proxy.url(server.url)))
        met: list[str] = []
        async for page in registry.scan(Query(page_size=500, sort=BY_A)):
            met += page.identities
            if len(met) in (1_000, 3_000):
                await proxy.cut()
        assert met == expected(BY_A)
        await registry.close()


async def test_many_scans_at_once_share_few_connections(config: dict[str, Any], opened: Open) -> None:
    registry = await filled(opened, {**config, "pool_size": 2})
    found = await asyncio.gather(*(names(registry.scan(Query(page_size=300))) for _ in range(12)))
    assert all(each == expected(()) for each in found)


async def test_what_expires_under_way_is_left_out_with_one_connection_alone(
    config: dict[str, Any], opened: Open
) -> None:
    registry: PostgresRegistry = await opened(PostgresRegistry, {**config, "pool_size": 1, "acquire_timeout": 5.0})
    lasting = [Write(f"a-{i:04d}", b"{}", "r1", None, Absent()) for i in range(1_200)]
    passing = [Write(f"b-{i:04d}", b"{}", "r1", SECOND, Absent()) for i in range(600)]
    await registry.set([*lasting, *passing])
    met: list[str] = []
    async for page in registry.scan(Query(page_size=200)):
        met += page.identities
        await asyncio.sleep(0.2)  # not so long that the stream would be given up
    assert met == [write.identity for write in lasting]
