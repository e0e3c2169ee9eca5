"""The contract of the registry, held on a real server."""

from __future__ import annotations

import pytest
from prism_conformance import RegistryContract, Subject

from .conftest import config_of


class TestPostgresRegistry(RegistryContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("postgres", config_of())
