"""What the plugin's tests share: real servers, configurations for them, and opened slots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
from prism.slots.context import Backend, IndexedField, SlotContext
from prism_conformance.servers import shared
from prism_redis.config import RedisConfig
from redis.asyncio import Redis

CONFIGURED = {"redis": {}, "valkey": {}, "cluster": {"cluster": True}}
"""Servers, and what the configuration says besides where they are."""

Slot = TypeVar("Slot", bound=Backend)
Open = Callable[..., Awaitable[Any]]


def config_of(kind: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration for the run's server of a kind, under key names that no other test has."""
    server = shared("redis_cluster" if kind == "cluster" else kind)
    return {"url": server.url, "key_prefix": server.scope, **CONFIGURED[kind], **(more or {})}


def indexed(*paths: str) -> tuple[IndexedField, ...]:
    """Indexes of fields, dots in the paths."""
    return tuple(IndexedField(tuple(path.split(".")), "string") for path in paths)


@pytest.fixture(params=CONFIGURED)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A configuration for each kind of server in turn."""
    return config_of(request.param)


@pytest.fixture
def single() -> dict[str, Any]:
    """A configuration for one server."""
    return config_of("valkey")


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """A function that opens a slot: `await opened(RedisRegistry, config, indexes=...)`; closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_slot(
            kind: Callable[[RedisConfig, SlotContext], Slot],
            config: Mapping[str, Any],
            namespace: str = "test",
            **context: Any,
        ) -> Slot:
            slot = kind(RedisConfig(**config), SlotContext(namespace, **context))
            stack.push_async_callback(slot.close)
            await slot.open()
            return slot

        yield open_slot


@pytest.fixture
async def bare(single: Mapping[str, Any]) -> AsyncIterator[Redis]:
    """redis-py on the server of `single`, without anything of ours."""
    async with Redis.from_url(single["url"]) as client:
        yield client


async def keys_under(client: Redis, prefix: str) -> set[bytes]:
    """The keys that begin with a prefix and its hash tag's brace."""
    return {key async for key in client.scan_iter(match=f"{{{prefix}:*", count=10_000)}
