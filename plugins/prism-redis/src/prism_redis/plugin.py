"""The plugin: which slots `type: redis` fills, and what each can do at most. Imports no driver."""

from __future__ import annotations

from prism.plugins.hooks import hookimpl
from prism.plugins.spec import Capability, SlotKind, SlotSpec

from prism_redis.config import RedisConfig

REGISTRY = SlotSpec(
    slot=SlotKind.REGISTRY,
    type="redis",
    config=RedisConfig,
    factory="prism_redis.registry:RedisRegistry",
    capabilities=frozenset({Capability.SHARED, Capability.LOW_LATENCY, Capability.DURABLE}),
    summary="Identities in Redis or Valkey, with indexes for equality, ranges and prefixes.",
)
MESSAGING = SlotSpec(
    slot=SlotKind.MESSAGING,
    type="redis",
    config=RedisConfig,
    factory="prism_redis.messaging:RedisMessaging",
    capabilities=frozenset(
        {Capability.SHARED, Capability.LOW_LATENCY, Capability.SUBSCRIBER_COUNT, Capability.ORDERED}
    ),
    summary="Publications by Redis Pub/Sub, sharded on a cluster.",
)
DURABILITY = SlotSpec(
    slot=SlotKind.DURABILITY,
    type="redis",
    config=RedisConfig,
    factory="prism_redis.durability:RedisDurability",
    capabilities=frozenset(
        {
            Capability.SHARED,
            Capability.LOW_LATENCY,
            Capability.ORDERED,
            Capability.DEAD_LETTER,
            Capability.DURABLE,
        }
    ),
    summary="Queues in Redis, whose messages are in a stream; as durable as the server's persistence.",
)


@hookimpl
def prism_slots() -> tuple[SlotSpec, ...]:
    """The three slots."""
    return REGISTRY, MESSAGING, DURABILITY
