"""The durability contract, held on a real server."""

from __future__ import annotations

import pytest
from prism_conformance import DurabilityContract, Subject

from .conftest import config_of


class TestPostgresDurability(DurabilityContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("postgres", config_of())
