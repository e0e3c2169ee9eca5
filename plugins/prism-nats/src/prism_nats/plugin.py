"""The plugin: which slots `type: nats` fills, and what each can do at most. Imports no driver."""

from __future__ import annotations

from prism.plugins.hooks import hookimpl
from prism.plugins.spec import Capability, SlotKind, SlotSpec

from prism_nats.config import NatsConfig

MESSAGING = SlotSpec(
    slot=SlotKind.MESSAGING,
    type="nats",
    config=NatsConfig,
    factory="prism_nats.messaging:NatsMessaging",
    capabilities=frozenset({Capability.SHARED, Capability.LOW_LATENCY, Capability.ORDERED}),
    summary="Publications by core NATS; a topic that nobody listens to is known to be so.",
)
DURABILITY = SlotSpec(
    slot=SlotKind.DURABILITY,
    type="nats",
    config=NatsConfig,
    factory="prism_nats.durability:NatsDurability",
    capabilities=frozenset(
        {
            Capability.SHARED,
            Capability.LOW_LATENCY,
            Capability.ORDERED,
            Capability.DEAD_LETTER,
            Capability.DURABLE,
        }
    ),
    summary="Queues in JetStream: two streams for a namespace, whatever the number of identities.",
)


@hookimpl
def prism_slots() -> tuple[SlotSpec, ...]:
    """The two slots."""
    return MESSAGING, DURABILITY
