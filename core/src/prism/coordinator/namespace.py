"""A namespace as it is served: its settings and its opened slots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from prism.config import NamespaceConfig, SlotConfig, check_mix, check_needs
from prism.config.declared import undeclared_indexes
from prism.coordinator.guard import Guard, answer_within
from prism.coordinator.refusals import whose_config
from prism.filters import Node, bind, parse
from prism.filters.ast import SortKey
from prism.filters.bind import bind_sort
from prism.filters.sorting import parse_sort
from prism.model.errors import InternalError, InvalidArgument, PluginError, PrismError, Unsupported
from prism.model.message import DeliverySemantics
from prism.model.operations import Default, Ttl
from prism.model.time import SECOND, Clock, Micros, show_seconds
from prism.plugins.loader import make_factory
from prism.plugins.spec import Capability, SlotKind, SlotSpec
from prism.slots.context import Backend
from prism.slots.durability import DurabilityBackend
from prism.slots.messaging import MessagingBackend, Subscription, Topic, TopicKind
from prism.slots.optional import Auditable, Measure, Measured
from prism.slots.registry import RegistryBackend

logger = logging.getLogger(__name__)

Slot = TypeVar("Slot", bound=Backend)

LONGEST_TTL: Micros = 100 * 366 * 24 * 3600 * SECOND
CHECK_TIMEOUT = 5.0
"""Seconds in which a slot has to answer a health check."""
OPEN_TIMEOUT = 30.0
"""Seconds a slot may take to open."""


@dataclass(slots=True, eq=False)
class Namespace:
    """Settings, slots, and a guard for each slot."""

    config: NamespaceConfig
    registry: RegistryBackend
    messaging: MessagingBackend
    durability: DurabilityBackend | None
    subscription: Subscription
    guards: dict[SlotKind, Guard]

    @property
    def name(self) -> str:
        """The namespace's name."""
        return self.config.name

    @property
    def auditor(self) -> Auditable | None:
        """Where effects are recorded; None where the namespace needs no audit."""
        if not self.config.needs.audit:
            return None
        if not isinstance(self.registry, Auditable):
            raise InternalError(f"plugin {self.config.registry.type!r} declares audit, and its registry keeps none")
        return self.registry

    def guard(self, slot: SlotKind) -> Guard:
        """The guard to call a slot under."""
        return self.guards[slot]

    def lifetime(self, ttl: Ttl, default: Micros | None) -> Micros | None:
        """The TTL to store: None for no expiry. Raises InvalidArgument beyond the namespace's maximum."""
        asked = default if ttl is Default.TTL else ttl
        longest = self.config.max_ttl
        if asked is not None and asked < 0:
            raise InvalidArgument.at("ttl", f"{show_seconds(asked)} is negative; 0 asks for no expiry")
        if asked is not None and asked > LONGEST_TTL:
            text = f"{show_seconds(asked)} is over a century; 0 asks for no expiry"
            raise InvalidArgument.at("ttl", text)
        if longest is None:
            return asked or None
        if ttl is Default.TTL and not asked:
            return longest
        if not asked:
            text = f"0 asks for no expiry, but this namespace has a maximum of {show_seconds(longest)}"
            raise InvalidArgument.at("ttl", text)
        if asked > longest and ttl is not Default.TTL:
            text = f"{show_seconds(asked)} is over this namespace's maximum of {show_seconds(longest)}"
            raise InvalidArgument.at("ttl", text)
        return min(asked, longest)

    def parse(self, source: Any) -> Node:
        """A filter in any input form, checked against limits and schema."""
        node = parse(source, self.config.limits)
        return node if self.config.schema is None else bind(node, self.config.schema)

    def parse_sort(self, source: Any) -> tuple[SortKey, ...]:
        """A sort order in the RFC's text form, checked against limits and schema."""
        keys = parse_sort(source, self.config.limits)
        return keys if self.config.schema is None else bind_sort(keys, self.config.schema)

    def semantics(self, asked: DeliverySemantics | None) -> DeliverySemantics:
        """The delivery semantics of a multicast; Unsupported where the slots can't keep them."""
        delivery = asked or self.config.delivery
        if delivery is DeliverySemantics.AT_MOST_ONCE:
            return delivery
        if self.durability is None:
            raise Unsupported(
                f"{delivery} needs a durability slot, and namespace {self.name!r} has none; "
                f"configure backend_slots.durability, or send with delivery {DeliverySemantics.AT_MOST_ONCE}"
            )
        if (
            delivery is DeliverySemantics.EXACTLY_ONCE
            and Capability.TRANSACTIONAL_OUTBOX not in self.registry.capabilities
        ):
            raise Unsupported(
                f"exactly-once needs a registry slot with a transactional outbox, which {self.config.registry.type!r} "
                f"hasn't; send with delivery {DeliverySemantics.AT_LEAST_ONCE} and remove duplicates by message id"
            )
        return delivery

    async def check(self) -> list[PrismError]:
        """Does one cheap operation on each slot, at the same time; the errors of those that can't serve."""
        checks = (self._check(slot, backend) for slot, backend in self._backends())
        return [error for error in await asyncio.gather(*checks) if error is not None]

    async def _check(self, slot: SlotKind, backend: Backend) -> PrismError | None:
        try:
            with self.guards[slot]("answer a health check"):
                await answer_within(CHECK_TIMEOUT, backend.check())
        except PrismError as error:
            return error
        return None

    async def close(self) -> None:
        """Closes subscription and slots; what fails is reported and doesn't stop the rest."""
        closers: list[tuple[str, Callable[[], Any]]] = [("subscription", self.subscription.close)]
        closers += [(str(slot), backend.close) for slot, backend in self._backends()]
        for what, close in closers:
            try:
                async with asyncio.timeout(5):
                    await close()
            except Exception:
                logger.exception("closing the %s of namespace %r failed", what, self.name)

    def measures(self) -> Iterator[tuple[SlotKind, Measure]]:
        """The numbers of slots that have some."""
        for kind, backend in self._backends():
            if isinstance(backend, Measured):
                slot_type = self.config.slots[kind].type
                for counts, numbers in ((False, backend.gauges()), (True, backend.counters())):
                    for name, value in numbers.items():
                        meaning = backend.meanings.get(name, f"See the plugin of type {slot_type}.")
                        yield kind, Measure(f"{slot_type}_{name}", value, meaning, counts)

    def _backends(self) -> list[tuple[SlotKind, Backend]]:
        slots: list[tuple[SlotKind, Backend]] = [
            (SlotKind.REGISTRY, self.registry),
            (SlotKind.MESSAGING, self.messaging),
        ]
        if self.durability is not None:
            slots.append((SlotKind.DURABILITY, self.durability))
        return slots


async def open_namespace(config: NamespaceConfig, address: str, clock: Clock | None) -> Namespace:
    """Opens the slots that a configuration names and listens to this proxy's inbox.

    Raises PluginError, InvalidConfig (options, or needs that the slots don't keep) or Unavailable. What was
    opened before a failure is closed again.
    """
    for found in undeclared_indexes(config.schema, config.registry.options):
        logger.warning("namespace %r: indexes[%d].field: %s", config.name, found.position, found.text)
    opening = _Opening(config, clock)
    try:
        registry = await opening.slot(SlotKind.REGISTRY, config.registry, RegistryBackend)  # type: ignore[type-abstract]
        messaging = await opening.slot(SlotKind.MESSAGING, config.messaging, MessagingBackend)  # type: ignore[type-abstract]
        durability = None
        if config.durability is not None:
            durability = await opening.slot(SlotKind.DURABILITY, config.durability, DurabilityBackend)  # type: ignore[type-abstract]
        check_mix(config, opening.capabilities)
        check_needs(config, opening.capabilities)
        with opening.guards[SlotKind.MESSAGING]("subscribe"):
            subscription = await messaging.subscribe()
            await subscription.add([Topic(TopicKind.INBOX, address)])
    except BaseException:
        await opening.undo()
        raise
    return Namespace(config, registry, messaging, durability, subscription, opening.guards)


class _Opening:
    """Slots opened so far."""

    def __init__(self, config: NamespaceConfig, clock: Clock | None) -> None:
        self._config = config
        self._opened: list[Backend] = []
        self.guards: dict[SlotKind, Guard] = {}
        self.capabilities: dict[SlotKind, frozenset[Capability]] = {}
        self._context = config.slot_context(clock)

    async def slot(self, kind: SlotKind, slot: SlotConfig, contract: type[Slot]) -> Slot:
        backend = make_factory(slot.spec)(slot.config, self._context)
        if not isinstance(backend, contract):
            raise PluginError(
                f"plugin {slot.type!r} made a {type(backend).__name__} for its {kind} slot, not a {contract.__name__}"
            )
        guard = self.guards[kind] = Guard(backend, kind, slot.type, self._config.name)
        self._opened.append(backend)
        with whose_config(kind, slot.type, self._config.name), guard("open"):
            await answer_within(OPEN_TIMEOUT, backend.open())
        self.capabilities[kind] = _opened_capabilities(slot.spec, backend)
        return backend

    async def undo(self) -> None:
        for backend in reversed(self._opened):
            try:
                await backend.close()
            except Exception:
                logger.exception("closing a slot of namespace %r after a failed start", self._config.name)


def _opened_capabilities(spec: SlotSpec, backend: Backend) -> frozenset[Capability]:
    extra = backend.capabilities - spec.capabilities
    if extra:
        raise PluginError(
            f"plugin {spec.type!r} opened its {spec.slot} slot with capabilities it didn't declare: "
            f"{', '.join(sorted(extra))}"
        )
    return backend.capabilities
