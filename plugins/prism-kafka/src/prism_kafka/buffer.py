"""What waits for the reader of a subscription: bounded, and a loss leaves a mark."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from prism.model.errors import InternalError
from prism.slots.messaging import Event, Interrupted, Received

MAX_EVENTS: Final = 100_000
"""Publications that wait for the reader of one subscription."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Bytes of their payloads."""

_OVERFLOW: Final = (
    f"the subscription was not read in time: its buffer of {MAX_EVENTS:,} publications or {MAX_BYTES:,} bytes is full"
)


class Buffer:
    """Events in the order of arrival, for one reader."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._bytes = 0
        self._overflowing = False
        self._reader: asyncio.Future[None] | None = None
        self._closed = False

    def put(self, event: Received) -> None:
        """Adds a publication where there is room; else notes that it is missing."""
        size = len(event.publication.payload)
        if len(self._events) < MAX_EVENTS and self._bytes + size <= MAX_BYTES:
            self._events.append(event)
            self._bytes += size
            self._overflowing = False
        elif not self._overflowing:
            self._overflowing = True
            self._events.append(Interrupted(_OVERFLOW))
        self._wake()

    def interrupt(self, reason: str) -> None:
        """Notes that publications may have been missed here."""
        self._events.append(Interrupted(reason))
        self._wake()

    def is_closed(self) -> bool:
        """Whether the reading has ended."""
        return self._closed

    def close(self) -> None:
        """Ends the reading; what nobody has read is dropped."""
        self._closed = True
        self._events = []
        self._wake()

    async def take(self) -> Sequence[Event] | None:
        """All that has come in since the last time, at least one; None once it is closed.

        Raises InternalError where somebody else is waiting already.
        """
        if self._reader is not None:
            raise InternalError("the subscription has a reader already; open another subscription for another reader")
        while not self._events:
            if self._closed:
                return None
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        batch, self._events = self._events, []
        self._bytes, self._overflowing = 0, False
        return batch

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
