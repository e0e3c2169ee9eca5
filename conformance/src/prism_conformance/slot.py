"""What every slot owes the core, whatever its kind: opening, closing, capabilities."""

from __future__ import annotations

import math
import re

from prism.plugins.spec import API_VERSION, Capability
from prism.slots.context import SlotContext
from prism.slots.optional import Measured, Watchable

from prism_conformance.capabilities import misplaced
from prism_conformance.checks import check
from prism_conformance.contract import SlotContract
from prism_conformance.harness import Subject


class AnySlotContract(SlotContract):
    """Obligations of `prism.slots.context.Backend` and of a SlotSpec."""

    @check("SLOT-010", source="design 4, plugins")
    def test_configuration_with_an_unknown_key_is_refused(self, subject: Subject) -> None:
        """A configuration with an unknown key is refused."""
        model = subject.spec(self.kind).config
        assert model.model_config.get("extra") == "forbid"

    @check("SLOT-011", source="design 4, plugins")
    def test_slot_spec_names_an_api_that_this_core_has(self, subject: Subject) -> None:
        """A slot spec names a plugin API that this core has."""
        major, minor = subject.spec(self.kind).api
        assert (major, minor) <= API_VERSION
        assert major == API_VERSION[0]

    @check("SLOT-012", source="design 4, capabilities")
    def test_capabilities_are_those_of_this_kind_of_slot(self, subject: Subject) -> None:
        """A slot spec declares no capability that only other kinds of slots can have."""
        assert misplaced(self.kind, subject.spec(self.kind).capabilities) == {}

    @check("SLOT-020", source="design 4, capabilities")
    async def test_opened_slot_has_no_capability_that_its_plugin_does_not_declare(self, subject: Subject) -> None:
        """An opened slot has no capability that its plugin does not declare."""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.open()
        try:
            assert slot.capabilities <= subject.spec(self.kind).capabilities
        finally:
            await slot.close()

    @check("SLOT-030", source="design 5, optional abilities")
    async def test_declared_watch_and_the_class_agree(self, subject: Subject) -> None:
        """A slot can be watched exactly where it declares `watch`."""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.open()
        try:
            assert isinstance(slot, Watchable) == (Capability.WATCH in slot.capabilities)
        finally:
            await slot.close()

    @check("SLOT-031", source="design 5, optional abilities")
    async def test_gauges_are_numbers_under_names_that_metrics_can_have(self, subject: Subject) -> None:
        """A slot that has gauges tells them at any time, as finite numbers under names that metrics can have."""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        if not isinstance(slot, Measured):
            return
        found = [{**slot.gauges(), **slot.counters()}]
        await slot.open()
        found.append({**slot.gauges(), **slot.counters()})
        await slot.close()
        found.append({**slot.gauges(), **slot.counters()})
        for name, value in (item for gauges in found for item in gauges.items()):
            assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name), name
            assert math.isfinite(value), (name, value)

    @check("SLOT-021", source="design 5, prism.slots.Backend")
    async def test_check_passes_on_an_opened_slot(self, subject: Subject) -> None:
        """A check passes on an opened slot."""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.open()
        assert await slot.check() is None  # type: ignore[func-returns-value]
        await slot.close()

    @check("SLOT-022", source="design 5, prism.slots.Backend")
    async def test_closing_twice_is_closing_once(self, subject: Subject) -> None:
        """Closing twice is closing once."""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.open()
        await slot.close()
        await slot.close()
        again = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await again.open()
        await again.check()
        await again.close()

    @check("SLOT-023", source="design 5, prism.slots.Backend")
    async def test_slot_that_was_never_opened_can_be_closed(self, subject: Subject) -> None:
        """A slot that was never opened can be closed."""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.close()

    @check("SLOT-024", source="design 5, prism.slots.Backend.classify")
    async def test_error_that_is_not_the_drivers_is_left_to_the_core(self, subject: Subject) -> None:
        """An error that isn't the driver's is classified as None, which leaves it to the core."""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.open()
        try:
            assert slot.classify(ValueError("not a driver's error")) is None
        finally:
            await slot.close()
