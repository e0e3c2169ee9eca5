"""The plugin: which slot it fills, and what that can do. Imports no driver: that is the factory's business."""

from __future__ import annotations

from prism.plugins.hooks import hookimpl
from prism.plugins.spec import Capability, SlotKind, SlotSpec

from prism_sqlite.config import SqliteConfig

REGISTRY = SlotSpec(
    slot=SlotKind.REGISTRY,
    type="sqlite",
    config=SqliteConfig,
    factory="prism_sqlite.registry:SqliteRegistry",
    capabilities=frozenset({Capability.STRONG_CONSISTENCY, Capability.DURABLE}),
    summary="Identities in an SQLite file.",
)


@hookimpl
def prism_slots() -> tuple[SlotSpec, ...]:
    """The slots."""
    return (REGISTRY,)
