"""Reads `backend_slots:`, taking out what the core decides before a plugin sees its options (RFC: examples 1-4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prism.config.mixes import misfits
from prism.config.options import validate_options
from prism.config.section import Section
from prism.config.settings import Composition, SlotConfig
from prism.filters.suggest import did_you_mean
from prism.model.errors import PluginError
from prism.model.message import DeliverySemantics
from prism.model.time import SECOND, Micros
from prism.plugins.loader import PluginLoader
from prism.plugins.spec import Capability, SlotKind
from prism.schema.place import Mistake, Place
from prism.slots.context import QueuePolicy

DEFAULT_TYPE = "memory"
_QUEUE_KEYS = ("visibility", "max_messages", "max_attempts", "message_ttl", "max_dead_letters")
_CORE_KEYS = {
    SlotKind.REGISTRY: ("ttl_default",),
    SlotKind.MESSAGING: ("delivery",),
    SlotKind.DURABILITY: ("use_messaging", *_QUEUE_KEYS),
}


@dataclass(frozen=True, slots=True)
class SlotBlocks:
    """What the blocks come to; a slot that couldn't be read is None. `ttl_default` 0 is no expiry."""

    registry: SlotConfig | None
    messaging: SlotConfig | None
    durability: SlotConfig | None
    ttl_default: Micros | None
    delivery: DeliverySemantics
    queues: QueuePolicy
    composition: Composition | None


class SlotReader:
    """Reads the blocks of one namespace with the plugins of one loader; every mistake is added to the list."""

    def __init__(self, loader: PluginLoader, mistakes: list[Mistake]) -> None:
        self._loader = loader
        self._mistakes = mistakes

    def read(self, section: Section | None, place: Place) -> SlotBlocks:
        """Reads `backend_slots:`; None (it is absent) fills all three slots from memory.

        Where the block is there, a missing registry or messaging is memory, and a missing durability is none.
        """
        if section is None:
            section = Section({kind: {"type": DEFAULT_TYPE} for kind in SlotKind}, place, self._mistakes)
        registry = section.section("registry") or self._memory(section, "registry")
        messaging = section.section("messaging") or self._memory(section, "messaging")
        durability = section.section("durability")
        found = len(self._mistakes)
        ttl_default = registry.duration("ttl_default", 0, minimum=0) if registry.has("ttl_default") else None
        delivery = messaging.choice("delivery", DeliverySemantics.AT_MOST_ONCE, DeliverySemantics)
        message_slot = self._slot(SlotKind.MESSAGING, messaging)
        queue_slot, queues = None, QueuePolicy()
        if durability is not None:
            queues = _queues(durability)
            queue_slot = self._durability(durability, messaging, message_slot)
        registry_slot = self._slot(SlotKind.REGISTRY, registry)
        if delivery == DeliverySemantics.EXACTLY_ONCE and registry_slot is not None:
            self._check_exactly_once(registry_slot, messaging)
        if durability is None and delivery != DeliverySemantics.AT_MOST_ONCE and len(self._mistakes) == found:
            example = self._keeper(registry_slot)
            text = (
                f"{delivery} needs a durability slot to keep messages in; add one, e.g. durability: {{type: {example}}}"
            )
            messaging.wrong("delivery", text)
        slots = [slot for slot in (registry_slot, message_slot, queue_slot) if slot is not None]
        if len(self._mistakes) == found:
            self._check_mix(slots, place)
        composition = self._composition(section, slots)
        section.finish()
        return SlotBlocks(
            registry_slot,
            message_slot,
            queue_slot,
            ttl_default,
            DeliverySemantics(delivery or DeliverySemantics.AT_MOST_ONCE),
            queues,
            composition,
        )

    def _memory(self, section: Section, key: str) -> Section:
        return Section({"type": DEFAULT_TYPE}, (*section.place, key), self._mistakes)

    def _slot(self, kind: SlotKind, block: Section) -> SlotConfig | None:
        """The slot that a block describes, once the core's keys have been read from it."""
        found = len(self._mistakes)
        slot_type = block.text("type", "")
        if not slot_type:
            if len(self._mistakes) == found:
                self._missing_type(kind, block)
            return None
        for key in _CORE_KEYS[kind]:
            block.has(key)
        return self._fill(kind, slot_type, block.rest(), block.place)

    def _missing_type(self, kind: SlotKind, block: Section) -> None:
        for key in block.rest():
            if hint := did_you_mean(key, ["type"]):
                block.wrong(key, f"unknown key{hint}")
                return
        block.wrong("type", f"is missing; name the plugin that fills {kind}, e.g. type: {DEFAULT_TYPE}")

    def _fill(self, kind: SlotKind, slot_type: str, options: Mapping[str, Any], place: Place) -> SlotConfig | None:
        try:
            spec = self._loader.resolve(kind, slot_type)
        except PluginError as error:
            self._mistakes.append(Mistake((*place, "type"), str(error)))
            return None
        config = validate_options(spec, options, place, self._mistakes, ("type", *_CORE_KEYS[kind]))
        return SlotConfig(kind, slot_type, dict(options), spec, config) if config is not None else None

    def _durability(self, block: Section, messaging: Section, message_slot: SlotConfig | None) -> SlotConfig | None:
        found = len(self._mistakes)
        use_messaging = block.boolean("use_messaging", False)
        if len(self._mistakes) > found:  # either is possible, and each would find mistakes of its own
            return None
        if not use_messaging:
            return self._slot(SlotKind.DURABILITY, block)
        for key in block.rest():
            block.wrong(key, "can't stand beside `use_messaging: true`: type and options are the messaging slot's")
        if message_slot is None:
            return None
        return self._fill(SlotKind.DURABILITY, message_slot.type, message_slot.options, messaging.place)

    def _keeper(self, registry: SlotConfig | None) -> str:
        """A durability type that goes with the registry."""
        if registry is None or Capability.SHARED not in registry.spec.capabilities:
            return DEFAULT_TYPE
        durable = (spec for spec in self._loader.installed() if spec.slot is SlotKind.DURABILITY)
        shared = sorted(spec.type for spec in durable if Capability.SHARED in spec.capabilities)
        return next(iter(shared), DEFAULT_TYPE)

    def _check_exactly_once(self, registry: SlotConfig, messaging: Section) -> None:
        """A registry without an outbox would refuse every multicast that doesn't say otherwise."""
        if Capability.TRANSACTIONAL_OUTBOX in registry.spec.capabilities:
            return
        registries = (spec for spec in self._loader.installed() if spec.slot is SlotKind.REGISTRY)
        able = sorted(spec.type for spec in registries if Capability.TRANSACTIONAL_OUTBOX in spec.capabilities)
        text = (
            f'exactly-once needs a registry slot with a transactional outbox, which "{registry.type}" hasn\'t '
            f"(installed types that have: {', '.join(able) or 'none'}); use at-least-once and remove duplicates by "
            "message id"
        )
        messaging.wrong("delivery", text)

    def _check_mix(self, slots: list[SlotConfig], place: Place) -> None:
        """Notes the slots that don't go with the registry."""
        filled = {slot.kind: slot for slot in slots}
        declared = {slot.kind: slot.spec.capabilities for slot in slots}
        for misfit in misfits(filled, declared, self._loader.installed):
            self._mistakes.append(Mistake((*place, misfit.slot, "type"), misfit.text))

    def _composition(self, section: Section, slots: list[SlotConfig]) -> Composition | None:
        block = section.section("composition")
        if block is None:
            return None
        block.choice("pattern", "outbox", ("outbox",))
        usual = Composition()
        table = block.text("outbox_table", usual.outbox_table)
        interval = block.duration("poll_interval", usual.poll_interval)
        block.finish()
        if not any(Capability.TRANSACTIONAL_OUTBOX in slot.spec.capabilities for slot in slots):
            types = ", ".join(dict.fromkeys(slot.type for slot in slots))
            text = f"is unsupported here: none of the slots ({types}) has a transactional outbox; remove the block"
            section.wrong("composition", text)
        return Composition("outbox", table, interval)


def _queues(block: Section) -> QueuePolicy:
    usual = QueuePolicy()
    return QueuePolicy(
        max_messages=block.whole("max_messages", usual.max_messages),
        max_attempts=block.whole("max_attempts", usual.max_attempts),
        message_ttl=_message_ttl(block, usual),
        visibility=block.duration("visibility", usual.visibility, minimum=SECOND // 10),
        max_dead_letters=block.whole("max_dead_letters", usual.max_dead_letters, minimum=0),
    )


def _message_ttl(block: Section, usual: QueuePolicy) -> Micros | None:
    """Null and 0 keep messages for ever."""
    if block.has("message_ttl") and block.value("message_ttl") is None:
        return None
    return block.duration("message_ttl", usual.message_ttl or 0, minimum=0) or None
