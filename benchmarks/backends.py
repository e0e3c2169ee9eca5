"""Namespaces on real servers, which `prism_conformance.servers` starts: their configuration, and what is in them."""

from __future__ import annotations

from typing import Any

from prism.slots.context import IndexedField, SlotContext
from prism_conformance.servers import Server
from prism_redis.config import RedisConfig
from prism_redis.durability import RedisDurability
from prism_redis.registry import RedisRegistry
from pydantic import SecretStr

NAMESPACE = "bench"
INDEXED = ("region", "room")
SCHEMA = {field: {"type": "string", "index": True} for field in INDEXED}


def slot(kind: str, server: Server) -> dict[str, Any]:
    """The block of a slot on a server: of type redis or nats."""
    return {"type": "redis", "url": server.url} if kind == "redis" else {"type": "nats", "servers": [server.url]}


def config(**slots: dict[str, Any]) -> dict[str, Any]:
    """A configuration with one namespace on these slots."""
    return {"namespaces": [{"name": NAMESPACE, "identity_schema": SCHEMA, "backend_slots": slots}]}


async def redis_registry(server: Server) -> RedisRegistry:
    """The registry slot on Redis, opened, with the indexes of the schema."""
    fields = tuple(IndexedField((field,), "string") for field in INDEXED)
    registry = RedisRegistry(RedisConfig(url=SecretStr(server.url)), SlotContext(NAMESPACE, indexes=fields))
    await registry.open()
    return registry


async def redis_durability(server: Server) -> RedisDurability:
    """The durability slot on Redis, opened."""
    durability = RedisDurability(RedisConfig(url=SecretStr(server.url)), SlotContext(NAMESPACE))
    await durability.open()
    return durability
