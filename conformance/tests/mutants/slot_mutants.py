"""Faults that any slot can have: capabilities that aren't there, or are there unsaid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prism.memory.durability import MemoryDurability
from prism.memory.messaging import MemoryMessaging
from prism.memory.registry import MemoryRegistry
from prism.memory.store import MemorySlot
from prism.model.errors import InternalError
from prism.plugins.spec import Capability
from prism.slots.context import Code
from prism_conformance import Subject
from prism_conformance import slot as slot_module

from .running import durability, messaging, registry

AUDIT_CHECKS = tuple(f"REG-{number}" for number in range(501, 509))
MP = pytest.MonkeyPatch
DEAD_LETTER_CHECKS = ("DUR-030", "DUR-037", "DUR-200", "DUR-201", "DUR-202", "DUR-203", "DUR-206", "DUR-207")


def _has(patch: MP, slot: type, *, more: Capability | None = None, less: Capability | None = None) -> None:
    declared = slot.spec.capabilities  # type: ignore[attr-defined]
    there = (declared | {more} if more else declared) - {less}
    patch.setattr(slot, "capabilities", property(lambda self: there))


def _declares(patch: MP, slot: type, *more: Capability) -> None:
    """Has the plugin declare more than it has, and the slot have it."""
    kind = slot.spec.slot  # type: ignore[attr-defined]
    spec = replace(slot.spec, capabilities=slot.spec.capabilities | set(more))  # type: ignore[attr-defined]
    patch.setattr(slot, "capabilities", property(lambda self: spec.capabilities))
    original = Subject.spec
    patch.setattr(Subject, "spec", lambda self, asked: spec if asked is kind else original(self, asked))


@messaging("SLOT-012")
def messaging_declares_an_audit_and_dead_letters(patch: MP) -> None:
    _declares(patch, MemoryMessaging, Capability.AUDIT, Capability.DEAD_LETTER)


@registry("SLOT-012")
def registry_declares_that_it_counts_subscribers(patch: MP) -> None:
    _declares(patch, MemoryRegistry, Capability.SUBSCRIBER_COUNT)


@durability("SLOT-012")
def durability_declares_strong_consistency(patch: MP) -> None:
    _declares(patch, MemoryDurability, Capability.STRONG_CONSISTENCY)


@durability("SLOT-024")
def every_error_is_the_drivers(patch: MP) -> None:
    patch.setattr(MemoryDurability, "classify", lambda self, error: Code.UNAVAILABLE)


@registry("SLOT-020")
def registry_can_more_than_its_plugin_says(patch: MP) -> None:
    _has(patch, MemoryRegistry, more=Capability.DURABLE)


@registry("SLOT-030", "SLOT-020")
def registry_says_it_can_be_watched(patch: MP) -> None:
    _has(patch, MemoryRegistry, more=Capability.WATCH)


@registry("REG-500", "SLOT-020", *AUDIT_CHECKS)
def registry_says_it_keeps_an_audit(patch: MP) -> None:
    _has(patch, MemoryRegistry, more=Capability.AUDIT)


@messaging("SLOT-030")
def messaging_can_be_watched_and_does_not_say_so(patch: MP) -> None:
    patch.setattr(slot_module, "Watchable", MemoryMessaging)


@durability("SLOT-031")
def gauge_has_a_name_that_no_metric_can_have(patch: MP) -> None:
    patch.setattr(slot_module, "Measured", MemoryDurability)
    patch.setattr(MemoryDurability, "gauges", lambda self: {"log lag": 0}, raising=False)


@messaging("SLOT-031")
def gauges_need_an_open_slot(patch: MP) -> None:
    patch.setattr(slot_module, "Measured", MemoryMessaging)
    patch.setattr(MemoryMessaging, "gauges", lambda self: {"topics": len(self._part._listeners)}, raising=False)


@durability("DUR-205", *DEAD_LETTER_CHECKS)
def dead_letters_are_faked(patch: MP) -> None:
    _has(patch, MemoryDurability, less=Capability.DEAD_LETTER)


@registry("SLOT-022")
def second_close_raises(patch: MP) -> None:
    original = MemorySlot.close

    async def close(self: Any) -> None:
        if self._store is None and self.__dict__.get("was_open"):
            raise InternalError("closed already")
        self.was_open = self._store is not None
        await original(self)

    patch.setattr(MemorySlot, "close", close)


@messaging("SLOT-023")
def close_needs_an_open_slot(patch: MP) -> None:
    original = MemoryMessaging.close

    async def close(self: Any) -> None:
        if self._store is None and not self.__dict__.get("was_open"):
            raise InternalError("never opened")
        self.was_open = True
        await original(self)

    patch.setattr(MemoryMessaging, "close", close)


@durability("SLOT-021", "SLOT-022")
def check_always_fails(patch: MP) -> None:
    async def check(self: Any) -> None:
        raise InternalError("never ready")

    patch.setattr(MemoryDurability, "check", check)
