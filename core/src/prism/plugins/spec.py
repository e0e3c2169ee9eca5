"""What a plugin says of each slot it can fill (design section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import builtins

    from pydantic import BaseModel

API_VERSION = (1, 0)
"""Major and minor of the plugin API. The major is in the entry-point group, the minor is checked on load."""

ENTRY_POINT_GROUP = "prism.backends.v1"


class SlotKind(StrEnum):
    """The three slots of the RFC."""

    REGISTRY = "registry"
    MESSAGING = "messaging"
    DURABILITY = "durability"


class Capability(StrEnum):
    """What a slot can do beyond its contract. Each states its consequence for the user.

    The set in a SlotSpec is the upper bound; an opened slot may have fewer, never more.
    """

    # Registry
    NATIVE_TTL = "native_ttl"
    """The backend removes the expired by itself, even when no proxy runs."""
    STRONG_CONSISTENCY = "strong_consistency"
    """A read on any proxy sees every write that was acknowledged before it."""
    WATCH = "watch"
    """Changes can be followed as they happen (the slot is a Watchable)."""
    TRANSACTIONAL_OUTBOX = "transactional_outbox"
    """A registration and an outgoing multicast can be written atomically (the slot is a TransactionalOutbox)."""
    AUDIT = "audit"
    """Every effect is recorded in the transaction that makes it."""
    # Messaging
    SUBSCRIBER_COUNT = "subscriber_count"
    """A publish says how many subscribers took the message, so a topic without any is known to be FAILED."""
    ORDERED = "ordered"
    """Messages of one publisher to one topic (or queue) arrive in the order they were sent."""
    # Durability
    DEAD_LETTER = "dead_letter"
    """Messages given up after too many attempts are kept, can be read, and can be replayed."""
    # Any slot
    DURABLE = "durable"
    """What was acknowledged survives a restart of the backend."""
    SHARED = "shared"
    """Proxies on several machines can share it; without, all users must be in one process."""
    LOW_LATENCY = "low_latency"
    """A single operation usually takes less than 10 ms."""
    MULTI_REGION = "multi_region"
    """Data is replicated to several regions."""


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """One slot that a plugin can fill.

    `type` is the entry point's name and the config's `type:`. `config` is a pydantic model that refuses
    unknown keys. `factory` is an import string, `package.module:callable`; called as
    `factory(config, context: prism.slots.SlotContext)` it returns an unopened backend of the slot's kind.
    `api` is the plugin API version that the plugin was written for.
    """

    slot: SlotKind
    type: str
    config: builtins.type[BaseModel]
    factory: str
    capabilities: frozenset[Capability] = frozenset()
    api: tuple[int, int] = API_VERSION
    summary: str = ""
