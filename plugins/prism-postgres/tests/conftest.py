"""What the plugin's tests share: a real server, configurations for it, and opened slots."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import asyncpg
import pytest
from prism.slots.context import Backend, SlotContext
from prism_conformance.servers import Server, shared
from prism_postgres.config import PostgresConfig

Slot = TypeVar("Slot", bound=Backend)
Open = Callable[..., Awaitable[Any]]


def config_of(server: Server | None = None, **more: Any) -> dict[str, Any]:
    """The configuration for a server, the run's unless given, in a database schema that no other test has."""
    server = server or shared("postgres")
    schema = "t_" + re.sub(r"[^a-z0-9]+", "_", server.scope.lower())[-50:]
    return {"connection": server.url, "schema": schema, "auto_migrate": True, "pool_size": 5, **more}


@pytest.fixture
def config() -> dict[str, Any]:
    """A configuration for the run's server."""
    return config_of()


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """A function that opens a slot: `await opened(PostgresRegistry, config, indexes=...)`; closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_slot(
            kind: Callable[[PostgresConfig, SlotContext], Slot],
            config: Mapping[str, Any],
            namespace: str = "test",
            **context: Any,
        ) -> Slot:
            slot = kind(PostgresConfig(**config), SlotContext(namespace, **context))
            stack.push_async_callback(slot.close)
            await slot.open()
            return slot

        yield open_slot


@pytest.fixture
async def bare(config: Mapping[str, Any]) -> AsyncIterator[asyncpg.Connection]:
    """asyncpg on the server of `config`, in its schema, without anything of ours."""
    connection = await asyncpg.connect(config["connection"], server_settings={"search_path": config["schema"]})
    yield connection
    await connection.close()
