"""What has come in on a subscription and nobody has read yet: bounded, and a loss leaves a mark. For plugins to use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from prism.model.errors import InternalError
from prism.slots.messaging import Event, Interrupted, Publication, Received, Subscription

MAX_EVENTS: Final = 100_000
"""Publications that wait for the reader of one subscription."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Bytes of their payloads; one that came on several topics in a row counts once, as it is held once."""


class Buffer:
    """Events in the order of arrival, for one reader.

    When it is full, what comes in is dropped, and one Interrupted stands where it would have been.
    """

    def __init__(self) -> None:
        self._closed = False
        self._events: list[Event] = []
        self._bytes = 0
        self._latest: Publication | None = None
        self._overflowing = False
        self._reader: asyncio.Future[None] | None = None

    def put(self, event: Received) -> bool:
        """Adds a publication, or notes that it had to be dropped; says which."""
        if self._closed:
            return False
        publication = event.publication
        size = 0 if publication is self._latest else len(publication.payload)
        if len(self._events) >= MAX_EVENTS or self._bytes + size > MAX_BYTES:
            self._overflow()
            return False
        self._events.append(event)
        self._bytes += size
        self._latest = publication
        self._overflowing = False
        self._wake()
        return True

    def put_all(self, events: Iterable[Received]) -> None:
        """Adds publications, as many as there is room for."""
        for event in events:
            self.put(event)

    def interrupt(self, reason: str) -> None:
        """Notes that publications may have been missed here."""
        if not self._closed:
            self._events.append(Interrupted(reason))
            self._wake()

    async def take(self) -> Sequence[Event] | None:
        """All that has come in since the last time, at least one; waits for it. None once it is closed.

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
        self._bytes, self._latest, self._overflowing = 0, None, False
        return batch

    def is_closed(self) -> bool:
        """Whether the reading has ended: what comes in now is dropped."""
        return self._closed

    def close(self) -> None:
        """Ends the reading; what nobody has read is dropped. Idempotent."""
        self._closed = True
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


class BufferedSubscription(Subscription):
    """A subscription that is read from a buffer: a plugin puts in what arrives, and closes the buffer in `close`."""

    def __init__(self, buffer: Buffer | None = None) -> None:
        self.buffer = Buffer() if buffer is None else buffer

    def check_open(self) -> None:
        """Raises InternalError on a closed subscription: `add` begins with it."""
        if self.buffer.is_closed():
            raise InternalError("the subscription is closed; call subscribe() for a new one")

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """Itself: the subscription is its own iterator."""
        return self

    async def __anext__(self) -> Sequence[Event]:
        """All that has come in since the last batch; waits until there is something."""
        batch = await self.buffer.take()
        if batch is None:
            raise StopAsyncIteration
        return batch
