"""The plugin: which slots `type: postgres` fills, and what each can do at most. Imports no driver."""

from __future__ import annotations

from prism.plugins.hooks import hookimpl
from prism.plugins.spec import Capability, SlotKind, SlotSpec

from prism_postgres.config import PostgresConfig

REGISTRY = SlotSpec(
    slot=SlotKind.REGISTRY,
    type="postgres",
    config=PostgresConfig,
    factory="prism_postgres.registry:PostgresRegistry",
    capabilities=frozenset(
        {
            Capability.SHARED,
            Capability.LOW_LATENCY,
            Capability.DURABLE,
            Capability.STRONG_CONSISTENCY,
            Capability.AUDIT,
        }
    ),
    summary="Identities in PostgreSQL, filtered by SQL, with indexes of every kind.",
)
MESSAGING = SlotSpec(
    slot=SlotKind.MESSAGING,
    type="postgres",
    config=PostgresConfig,
    factory="prism_postgres.messaging:PostgresMessaging",
    capabilities=frozenset({Capability.SHARED, Capability.LOW_LATENCY, Capability.ORDERED}),
    summary="Publications by LISTEN and NOTIFY, large ones by reference.",
)
DURABILITY = SlotSpec(
    slot=SlotKind.DURABILITY,
    type="postgres",
    config=PostgresConfig,
    factory="prism_postgres.durability:PostgresDurability",
    capabilities=frozenset(
        {
            Capability.SHARED,
            Capability.LOW_LATENCY,
            Capability.ORDERED,
            Capability.DEAD_LETTER,
            Capability.DURABLE,
        }
    ),
    summary="Queues in PostgreSQL's tables, each message stored once.",
)


@hookimpl
def prism_slots() -> tuple[SlotSpec, ...]:
    """The three slots."""
    return REGISTRY, MESSAGING, DURABILITY
