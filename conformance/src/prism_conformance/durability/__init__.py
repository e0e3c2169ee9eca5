"""What a DurabilityBackend owes the core: `DurabilityContract`, in three parts by subject."""

from __future__ import annotations

from prism_conformance.durability.leases import LeaseContract
from prism_conformance.durability.losses import LossContract
from prism_conformance.durability.queues import QueueContract


class DurabilityContract(QueueContract, LeaseContract, LossContract):
    """All that a DurabilityBackend owes the core."""
