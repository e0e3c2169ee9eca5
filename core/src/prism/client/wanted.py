"""One identity that an application wants attached, and how far that has got."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prism.model.operations import AttachItem, Default, Ttl
from prism.model.time import SECOND, wall_clock

if TYPE_CHECKING:
    from prism.client.stream import Stream
    from prism.model.time import Micros


class Wanted:
    """One identity of an inbox, across all streams that ever carried it."""

    __slots__ = (
        "attached",
        "expires_at",
        "identity",
        "metadata",
        "missed",
        "only_if_absent",
        "previous",
        "registration_id",
        "stream",
        "ttl",
        "unsure",
        "waiter",
    )

    def __init__(self, identity: str, metadata: bytes | None, ttl: Ttl, *, only_if_absent: bool = False) -> None:
        self.identity = identity
        self.metadata = metadata
        """JSON bytes; None takes over the registration that exists."""
        self.ttl = ttl
        self.only_if_absent = only_if_absent
        self.registration_id = ""
        """Of the latest registration that is known to be this inbox's; "" before the first."""
        self.expires_at: Micros | None = None
        self.stream: Stream | None = None
        """The stream that it was last asked on."""
        self.previous: Stream | None = None
        """The stream that still carries it while it moves to another."""
        self.attached = False
        """Whether `stream` has answered with Attached."""
        self.missed = False
        """Whether messages may have been missed since it was attached last."""
        self.unsure = False
        """Whether it was asked for on a stream that ended without an answer: then a registration that overtook ours
        may well be our own, of which we never heard."""
        self.waiter: asyncio.Future[None] | None = None
        """Who waits for the first answer."""

    def ask(self, stream: Stream) -> AttachItem:
        """What to send on a stream to have it attached there."""
        if self.attached and self.stream is not stream:
            self.previous = self.stream
        self.stream = stream
        self.attached = False
        resume = self.registration_id or None
        return AttachItem(self.identity, self.metadata, self.ttl, resume, self.only_if_absent and resume is None)

    @property
    def lifetime(self) -> float | None:
        """Seconds it stays registered without a heartbeat, as far as is known; None for no end."""
        if not isinstance(self.ttl, Default):
            return self.ttl / SECOND or None
        if self.expires_at is None:
            return None
        return (self.expires_at - wall_clock()) / SECOND

    def settle(self, error: Exception | None = None) -> bool:
        """Tells who waits for the first answer; False where nobody does."""
        waiter, self.waiter = self.waiter, None
        if waiter is None:
            return False
        if not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
                waiter.exception()  # nobody may be waiting any more
        return True
