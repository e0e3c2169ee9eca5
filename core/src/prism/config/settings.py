"""What a configuration comes to, as frozen data. Durations are microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prism.model.limits import Limits, ProxyLimits
from prism.model.message import DeliverySemantics
from prism.model.time import SECOND, Clock, Micros, steady_clock
from prism.plugins.spec import SlotKind, SlotSpec
from prism.slots.context import IndexedField, QueuePolicy, SlotContext

if TYPE_CHECKING:
    from pydantic import BaseModel

    from prism.schema import IdentitySchema


@dataclass(frozen=True, slots=True)
class SlotConfig:
    """How one slot is filled.

    `options` are the plugin's own, as written, without the keys that the core takes for itself; `config` is
    the plugin's model made from them. `make_factory(slot.spec)(slot.config, context)` gives the backend.
    """

    kind: SlotKind
    type: str
    options: Mapping[str, Any]
    spec: SlotSpec
    config: BaseModel


@dataclass(frozen=True, slots=True)
class Needs:
    """What a namespace demands of its slots (RFC: `needs`); None and False demand nothing.

    `latency` is an upper bound; `scale` a number of identities; `cloud` is kept for information only.
    """

    latency: Micros | None = None
    consistency: str | None = None
    durability: str | None = None
    audit: bool = False
    exactly_once: bool = False
    scale: int | None = None
    region: str | None = None
    cloud: str | None = None


@dataclass(frozen=True, slots=True)
class Composition:
    """The RFC's transactional outbox (Example 4)."""

    pattern: str = "outbox"
    outbox_table: str = "multicast_outbox"
    poll_interval: Micros = SECOND // 10


@dataclass(frozen=True, slots=True)
class NamespaceConfig:
    """One namespace. `durability` None: nothing is queued, and only at-most-once can be delivered.

    `ttl_default` is for registrations that ask for nothing, None is no expiry; `attach_ttl` for attached
    identities; `max_ttl` bounds both. `timeout` is how long a multicast waits for receipts.
    """

    name: str
    schema: IdentitySchema | None
    registry: SlotConfig
    messaging: SlotConfig
    durability: SlotConfig | None
    limits: Limits = field(default_factory=Limits)
    ttl_default: Micros | None = None
    attach_ttl: Micros = 30 * SECOND
    max_ttl: Micros | None = None
    timeout: Micros = SECOND
    delivery: DeliverySemantics = DeliverySemantics.AT_MOST_ONCE
    queues: QueuePolicy = field(default_factory=QueuePolicy)
    needs: Needs = Needs()
    sweep_interval: Micros = SECOND
    composition: Composition | None = None

    @property
    def slots(self) -> dict[SlotKind, SlotConfig]:
        """The slots that are filled."""
        slots = {SlotKind.REGISTRY: self.registry, SlotKind.MESSAGING: self.messaging}
        return slots if self.durability is None else {**slots, SlotKind.DURABILITY: self.durability}

    @property
    def indexes(self) -> tuple[IndexedField, ...]:
        """The fields that the schema marks `index: true`."""
        if self.schema is None:
            return ()
        return tuple(IndexedField(keys, kind) for keys, kind in self.schema.indexed_fields)

    def slot_context(self, clock: Clock | None = None) -> SlotContext:
        """What the factories of this namespace's slots get; `clock` None is a steady one of its own."""
        kinds = {} if self.schema is None else self.schema.kinds
        clock = clock or steady_clock()
        return SlotContext(self.name, self.limits, self.indexes, self.queues, clock, kinds, self.needs.audit)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The proxy process. Addresses are `host:port`; `http_listen` None serves no health and metrics.

    `drain_grace` is how long streams get to move elsewhere when the proxy stops.
    """

    listen: str = "127.0.0.1:7070"
    http_listen: str | None = "127.0.0.1:7071"
    drain_grace: Micros = 10 * SECOND
    log_level: str = "info"


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """All of a configuration. With `any_namespace`, those not listed exist too, on memory slots."""

    namespaces: Mapping[str, NamespaceConfig] = field(default_factory=dict)
    any_namespace: bool = True
    server: ServerConfig = ServerConfig()
    limits: ProxyLimits = field(default_factory=ProxyLimits)
