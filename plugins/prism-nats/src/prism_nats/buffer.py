"""What has come in on a subscription and nobody has read yet: bounded, and honest about what it dropped."""

from __future__ import annotations

import asyncio
from typing import Final

from prism.model.errors import InternalError
from prism.slots.messaging import Event, Interrupted, Received

MAX_EVENTS: Final = 100_000
MAX_BYTES: Final = 256 * 1024 * 1024
_LOST: Final = "the connection to NATS was lost and is back"


class Buffer:
    """Events in the order of arrival, and the one reader that empties it.

    When it is full, what comes in is dropped, and an Interrupted stands where it would have been.
    """

    def __init__(self) -> None:
        self.closed = False
        self._events: list[Event] = []
        self._bytes = 0
        self._overflowing = False
        self._lost = False
        self._reader: asyncio.Future[None] | None = None

    def put(self, event: Received) -> None:
        """Adds a publication, or drops it where there is no room."""
        if self._lost:
            self._lost = False
            self.interrupt(_LOST)
        size = len(event.publication.payload)
        if len(self._events) >= MAX_EVENTS or self._bytes + size > MAX_BYTES:
            self._overflow()
            return
        self._events.append(event)
        self._bytes += size
        self._overflowing = False
        self._wake()

    def connection_lost(self) -> None:
        """From now on publications are missed: an Interrupted stands before the next one that comes in."""
        self._lost = True

    def connection_back(self) -> None:
        """Nothing is missed any more; an Interrupted says so, also where one stands before what came in meanwhile."""
        self._lost = False
        self.interrupt(_LOST)

    def interrupt(self, reason: str) -> None:
        """Notes that publications may have been missed here."""
        if not self.closed:
            self._events.append(Interrupted(reason))
            self._wake()

    async def take(self) -> list[Event]:
        """All that has come in since the last call; waits until there is something. Empty once closed."""
        if self._reader is not None:
            raise InternalError("the subscription has a reader already; open another subscription for another reader")
        while not self._events and not self.closed:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        batch, self._events = self._events, []
        self._bytes, self._overflowing = 0, False
        return batch

    def close(self) -> None:
        """Drops what nobody has read; the reader ends."""
        self.closed = True
        self._events = []
        self._wake()

    def _overflow(self) -> None:
        if not self._overflowing:
            self._overflowing = True
            self.interrupt(
                f"the subscription was not read in time: its buffer of {MAX_EVENTS:,} publications "
                f"or {MAX_BYTES:,} bytes is full"
            )

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
