"""The messaging contract, held on a real server."""

from __future__ import annotations

import pytest
from prism_conformance import MessagingContract, Subject

from .conftest import config_of


class TestPostgresMessaging(MessagingContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("postgres", config_of())
