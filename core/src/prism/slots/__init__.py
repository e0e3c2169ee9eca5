"""The driver contract: what a backend implements. Imports `plugins`, `filters` and `model` alone.

Every method is asynchronous and takes batches; see each class for concurrency, idempotence and cancellation.
"""

from prism.slots.context import QueuePolicy, SlotContext
from prism.slots.durability import DurabilityBackend
from prism.slots.messaging import MessagingBackend, Subscription
from prism.slots.registry import RegistryBackend

__all__ = [
    "DurabilityBackend",
    "MessagingBackend",
    "QueuePolicy",
    "RegistryBackend",
    "SlotContext",
    "Subscription",
]
