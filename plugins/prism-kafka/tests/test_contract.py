"""The contract, held on a real broker."""

from __future__ import annotations

import pytest
from prism_conformance import DurabilityContract, MessagingContract, Subject

from .conftest import config_of


class OnBroker:
    """Runs every check on the run's broker."""

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("kafka", config_of())


class TestKafkaMessaging(OnBroker, MessagingContract):
    pass


class TestKafkaDurability(OnBroker, DurabilityContract):
    pass
