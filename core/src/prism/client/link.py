"""What carries a stream of attached identities: gRPC, or a session in the same process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from prism.client.delivered import Delivered
from prism.model.operations import AttachItem
from prism.model.time import Micros
from prism.sessions.events import SessionEvent

StreamEvent: TypeAlias = "SessionEvent | Delivered"
"""What a stream brings: a session's events, deliveries in either shape."""


class Link(Protocol):
    """One stream. Sending and receiving are independent; one task sends at a time, and one receives.

    Everything raises a PrismError when the stream is lost, `receive` for certain.
    """

    async def open(self) -> None:
        """Gets ready; may wait its turn. Nothing has to be reached yet."""

    async def attach(self, items: Sequence[AttachItem]) -> Sequence[StreamEvent]:
        """Asks to attach. Returns what is known at once; the rest comes by `receive`."""

    async def detach(self, identities: Sequence[str], *, keep: bool) -> None:
        """Asks to let go; answered by Detached."""

    async def settle(self, acks: Sequence[int], nacks: Sequence[tuple[int, Micros]]) -> None:
        """Passes on acks and nacks."""

    async def touch(self) -> None:
        """Says that the application lives."""

    async def receive(self) -> Sequence[StreamEvent]:
        """What is next, in order; empty when the other side ended the stream."""

    def handed_over(self, events: Sequence[StreamEvent]) -> None:
        """What `receive` returned is in the application's hands."""

    def leave(self) -> None:
        """The proxy drains: what is opened from now on should go elsewhere."""

    async def close(self) -> None:
        """Ends the stream. Idempotent."""
