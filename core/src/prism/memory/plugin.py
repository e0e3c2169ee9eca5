"""The plugin: which slots `type: memory` fills, and what each can do."""

from __future__ import annotations

from prism.memory.config import MemoryConfig
from prism.plugins.hooks import hookimpl
from prism.plugins.spec import Capability, SlotKind, SlotSpec

REGISTRY = SlotSpec(
    slot=SlotKind.REGISTRY,
    type="memory",
    config=MemoryConfig,
    factory="prism.memory.registry:MemoryRegistry",
    capabilities=frozenset({Capability.STRONG_CONSISTENCY, Capability.LOW_LATENCY}),
    summary="Identities in this process, with inverted indexes; gone when the process ends.",
)
MESSAGING = SlotSpec(
    slot=SlotKind.MESSAGING,
    type="memory",
    config=MemoryConfig,
    factory="prism.memory.messaging:MemoryMessaging",
    capabilities=frozenset({Capability.SUBSCRIBER_COUNT, Capability.ORDERED, Capability.LOW_LATENCY}),
    summary="Publications between the coordinators of this process.",
)
DURABILITY = SlotSpec(
    slot=SlotKind.DURABILITY,
    type="memory",
    config=MemoryConfig,
    factory="prism.memory.durability:MemoryDurability",
    capabilities=frozenset({Capability.ORDERED, Capability.DEAD_LETTER, Capability.LOW_LATENCY}),
    summary="Queues in this process; gone when the process ends.",
)


@hookimpl
def prism_slots() -> tuple[SlotSpec, ...]:
    """The three slots."""
    return REGISTRY, MESSAGING, DURABILITY
