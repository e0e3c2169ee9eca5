"""What a coordinator asks of whoever hosts the attached identities of its proxy. `sessions` provides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from prism.coordinator.receipts import FrameReceipt
from prism.model.message import Message


class Host(Protocol):
    """All methods are quick, synchronous, and never raise for an identity that isn't attached here (any more).

    `registration_ids[i]` is the registration that `identities[i]` had when the filter was evaluated; an
    attached identity with a newer one isn't meant.
    """

    def deliver(
        self,
        namespace: str,
        message: Message,
        identities: Sequence[str],
        registration_ids: Sequence[str],
        receipt: FrameReceipt,
    ) -> None:
        """Puts a message into inboxes; settles the receipt, now or when a stream has taken it."""

    def nudge(self, namespace: str, identities: Sequence[str]) -> None:
        """Queues of identities have something new."""

    def evict(self, namespace: str, identities: Sequence[str], registration_ids: Sequence[str], reason: str) -> None:
        """Tells sessions that they have lost identities: SUPERSEDED, EXPIRED or UNREGISTERED."""

    def interrupted(self, namespace: str, reason: str) -> None:
        """Frames for this proxy may have been missed: tells sessions of the gap and looks into the queues."""


class NoHost:
    """A coordinator that hosts no sessions: nothing is attached here."""

    def deliver(
        self,
        namespace: str,
        message: Message,
        identities: Sequence[str],
        registration_ids: Sequence[str],
        receipt: FrameReceipt,
    ) -> None:
        """Fails them all."""
        del namespace, message, registration_ids
        receipt.fail(range(len(identities)), NO_STREAM)

    def nudge(self, namespace: str, identities: Sequence[str]) -> None:
        """Nobody to wake."""

    def evict(self, namespace: str, identities: Sequence[str], registration_ids: Sequence[str], reason: str) -> None:
        """Nobody to tell."""

    def interrupted(self, namespace: str, reason: str) -> None:
        """Nobody to tell."""


NO_STREAM = "not attached: its stream has ended and the registration is waiting for its TTL"
"""The reason of an at-most-once message for an identity whose stream is gone."""
