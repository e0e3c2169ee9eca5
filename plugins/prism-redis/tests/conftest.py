"""What the plugin's tests share: real servers, configurations for them, and opened slots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
from prism.slots.context import Backend, IndexedField, SlotContext
from prism_conformance.checks import check_of
from prism_conformance.servers import shared
from prism_redis.config import RedisConfig
from redis.asyncio import Redis

CONFIGURED = {"redis": {}, "valkey": {}, "cluster": {"cluster": True}}
"""Servers, and what the configuration says besides where they are."""

QUICK_ON_CLUSTER = {
    "SLOT": (21, 22, 31),
    "REG": (
        *(10, 12, 14, 19, 22, 25, 33, 40, 41, 44, 45, 51, 60, 100, 116, 120, 125, 130),
        *(200, 203, 204, 206, 207, 209, 210, 213, 214, 220, 224, 226),
    ),
    "FIL": (41,),
    "MSG": (10, 11, 12, 13, 14, 16, 20, 21, 25, 31, 40, 42),
    "DUR": (
        *(10, 12, 14, 20, 22, 30, 32, 36, 40, 50, 100, 102, 104, 107, 112, 114, 120),
        *(200, 203, 206, 210, 212),
    ),
}
"""Checks that `make test` asks of the cluster: order, paging and batches over partitions, atomic steps."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves most of the contract on the cluster to `make soak`: it takes minutes."""
    for item in items:
        if isinstance(item, pytest.Function) and getattr(item, "callspec", None) is not None:
            check = check_of(item.function)
            on_cluster = "cluster" in map(str, item.callspec.params.values())
            if check is not None and on_cluster and not is_quick(check.id):
                item.add_marker(pytest.mark.soak)


def is_quick(check: str) -> bool:
    """Whether `make test` asks a check of the cluster."""
    kind, number = check.split("-")
    return int(number) in QUICK_ON_CLUSTER.get(kind, ())


async def keys_under(client: Redis, prefix: str) -> set[bytes]:
    """The keys that begin with a prefix and its hash tag's brace."""
    return {key async for key in client.scan_iter(match=f"{{{prefix}:*", count=10_000)}
