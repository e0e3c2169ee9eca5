"""The conformance suite, run against this plugin."""

from __future__ import annotations

from pathlib import Path

import pytest
from prism_conformance import RegistryContract, Subject, TurnableClock


class TestSqliteRegistry(RegistryContract):
    """With a file for each check, and a clock that the check turns instead of waiting."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        """The plugin on a file of the check's own."""
        clock = TurnableClock()
        return Subject("sqlite", {"path": str(tmp_path / "registry.db")}, clock, clock.advance)
