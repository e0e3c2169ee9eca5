"""What a RegistryBackend owes the core: `RegistryContract`, in parts by subject."""

from __future__ import annotations

from prism_conformance.registry.audit import AuditContract
from prism_conformance.registry.expiry import TimeContract
from prism_conformance.registry.pushdown import FilterContract
from prism_conformance.registry.scans import ScanContract
from prism_conformance.registry.writes import WriteContract


class RegistryContract(WriteContract, TimeContract, ScanContract, FilterContract, AuditContract):
    """All that a RegistryBackend owes the core."""
