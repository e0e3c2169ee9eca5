"""The contract, held by the memory backend."""

from __future__ import annotations

import secrets

import pytest
from prism_conformance import DurabilityContract, MessagingContract, RegistryContract, Subject, TurnableClock


class OnMemory:
    """A store of its own for each test, on a clock that the test turns."""

    @pytest.fixture
    def subject(self) -> Subject:
        clock = TurnableClock()
        return Subject("memory", {"store": secrets.token_hex(8)}, clock, clock.advance)


class TestMemoryRegistry(OnMemory, RegistryContract):
    pass


class TestMemoryMessaging(OnMemory, MessagingContract):
    pass


class TestMemoryDurability(OnMemory, DurabilityContract):
    pass
