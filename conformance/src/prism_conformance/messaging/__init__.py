"""What a MessagingBackend owes the core: `MessagingContract`."""

from __future__ import annotations

from prism_conformance.messaging.delivery import DeliveryContract


class MessagingContract(DeliveryContract):
    """All that a MessagingBackend owes the core."""
