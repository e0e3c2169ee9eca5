"""The plugin: which slots `type: kafka` fills, and what each can do at most. Imports no driver."""

from __future__ import annotations

from prism.plugins.hooks import hookimpl
from prism.plugins.spec import Capability, SlotKind, SlotSpec

from prism_kafka.config import KafkaConfig

MESSAGING = SlotSpec(
    slot=SlotKind.MESSAGING,
    type="kafka",
    config=KafkaConfig,
    factory="prism_kafka.messaging:KafkaMessaging",
    capabilities=frozenset({Capability.SHARED, Capability.ORDERED}),
    summary="Publications as keyed records of two topics; a proxy reads its own partition.",
)
DURABILITY = SlotSpec(
    slot=SlotKind.DURABILITY,
    type="kafka",
    config=KafkaConfig,
    factory="prism_kafka.durability:KafkaDurability",
    capabilities=frozenset({Capability.SHARED, Capability.ORDERED, Capability.DEAD_LETTER, Capability.DURABLE}),
    summary="Queues as a log of what was done to them, read by every proxy; messages stay in the log.",
)


@hookimpl
def prism_slots() -> tuple[SlotSpec, ...]:
    """The two slots."""
    return MESSAGING, DURABILITY
