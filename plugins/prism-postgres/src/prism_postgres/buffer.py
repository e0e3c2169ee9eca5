"""What waits for the reader of a subscription: bounded, and a loss leaves a mark."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from prism.model.errors import InternalError
from prism.slots.messaging import Event, Interrupted, Publication, Received

MAX_EVENTS: Final = 100_000
"""Publications that wait for the reader of one subscription."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Bytes of their payloads; one that came on several topics in a row counts once."""
_OVERFLOW: Final = (
    f"the subscription was not read in time: its buffer of {MAX_EVENTS:,} publications or {MAX_BYTES:,} bytes is full"
)


class Buffer:
    """Events in the order of arrival, for one reader."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._bytes = 0
        self._latest: Publication | None = None
        self._overflowing = False
        self._waiting: asyncio.Future[None] | None = None
        self._closed = False

    def put(self, events: Iterable[Received]) -> None:
        """Adds publications, as many as there is room for."""
        for event in events:
            size = 0 if event.publication is self._latest else len(event.publication.payload)
            if len(self._events) >= MAX_EVENTS or self._bytes + size > MAX_BYTES:
                if not self._overflowing:
                    self._overflowing = True
                    self._events.append(Interrupted(_OVERFLOW))
                continue
            self._events.append(event)
            self._bytes += size
            self._latest = event.publication
            self._overflowing = False
        self._wake()

    def interrupt(self, reason: str) -> None:
        """Notes that publications may have been missed here."""
        self._events.append(Interrupted(reason))
        self._wake()

    def close(self) -> None:
        """Ends the reading; what nobody has read is dropped."""
        self._closed = True
        self._events = []
        self._wake()

    async def take(self) -> Sequence[Event] | None:
        """All that has come in since the last time, at least one; None once it is closed.

        Raises InternalError where somebody else is waiting already.
        """
        if self._waiting is not None:
            raise InternalError("the subscription has a reader already; open another subscription for another reader")
        while not self._events:
            if self._closed:
                return None
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        batch, self._events = self._events, []
        self._bytes, self._latest, self._overflowing = 0, None, False
        return batch

    def _wake(self) -> None:
        if self._events and self._closed:
            self._events = []
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
