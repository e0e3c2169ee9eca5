"""The contract, held by the memory backend."""

from __future__ import annotations

import secrets

import pytest

from .durability import DurabilityContract
from .harness import Subject, TurnableClock
from .messaging import MessagingContract
from .registry import RegistryContract


def memory() -> Subject:
    """A store of its own for each test, on a clock that the test turns."""
    clock = TurnableClock()
    return Subject("memory", {"store": secrets.token_hex(8)}, clock, clock.advance)


class TestMemoryRegistry(RegistryContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return memory()


class TestMemoryMessaging(MessagingContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return memory()


class TestMemoryDurability(DurabilityContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return memory()
