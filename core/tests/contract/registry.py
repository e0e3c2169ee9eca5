"""The registry contract as one class: derive from it and override the fixture `subject`."""

from __future__ import annotations

from .registry_filters import FilterContract
from .registry_scans import ScanContract
from .registry_time import TimeContract
from .registry_writes import WriteContract


class RegistryContract(WriteContract, TimeContract, ScanContract, FilterContract):
    """All that a RegistryBackend owes the core."""
