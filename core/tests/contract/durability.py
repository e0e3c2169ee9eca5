"""The durability contract as one class: derive from it and override the fixture `subject`."""

from __future__ import annotations

from .durability_leases import LeaseContract
from .durability_losses import LossContract
from .durability_queues import QueueContract


class DurabilityContract(QueueContract, LeaseContract, LossContract):
    """All that a DurabilityBackend owes the core."""
