"""What every slot owes the core, whatever its kind: opening, closing, capabilities."""

from __future__ import annotations

from prism.plugins.spec import API_VERSION
from prism.slots.context import SlotContext

from .harness import SlotContract, Subject


class AnySlotContract(SlotContract):
    """Obligations of `prism.slots.context.Backend` and of a SlotSpec."""

    def test_configuration_with_an_unknown_key_is_refused(self, subject: Subject) -> None:
        """SLOT-010"""
        model = subject.spec(self.kind).config
        assert model.model_config.get("extra") == "forbid"

    def test_slot_spec_names_an_api_that_this_core_has(self, subject: Subject) -> None:
        """SLOT-011"""
        major, minor = subject.spec(self.kind).api
        assert (major, minor) <= API_VERSION
        assert major == API_VERSION[0]

    async def test_opened_slot_has_no_capability_that_its_plugin_does_not_declare(self, subject: Subject) -> None:
        """SLOT-020"""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.open()
        try:
            assert slot.capabilities <= subject.spec(self.kind).capabilities
        finally:
            await slot.close()

    async def test_check_passes_on_an_opened_slot(self, subject: Subject) -> None:
        """SLOT-021"""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.open()
        assert await slot.check() is None  # type: ignore[func-returns-value]
        await slot.close()

    async def test_closing_twice_is_closing_once(self, subject: Subject) -> None:
        """SLOT-022"""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.open()
        await slot.close()
        await slot.close()
        again = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await again.open()
        await again.check()
        await again.close()

    async def test_slot_that_was_never_opened_can_be_closed(self, subject: Subject) -> None:
        """SLOT-023"""
        slot = subject.make(self.kind, SlotContext("contract", clock=subject.clock))
        await slot.close()
        assert slot.classify(ValueError("not a driver's error")) is None
