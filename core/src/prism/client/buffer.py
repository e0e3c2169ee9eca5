"""What has arrived and was not read yet: bounded, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from prism.client.message import Arrival
from prism.client.stream import Stream

BUFFERED_BYTES = 8 * 1024 * 1024
"""Payload bytes that may wait beside the number of messages."""


@dataclass(frozen=True, slots=True)
class GapMark:
    """Messages of an identity are missing at this point; `tag` is acked once the application got here, 0 for none."""

    identity: str
    stream: Stream | None = None
    tag: int = 0


class Buffer:
    """Arrivals between the stream and the application.

    It takes whatever is put into it; who fills it waits for `room` before reading more from the stream, so that a
    slow application is felt by the proxy. `prefetch` is the number of messages that may wait.
    """

    def __init__(self, prefetch: int) -> None:
        self.gaps: set[str] = set()
        """Identities whose next message has a gap before it."""
        self._prefetch = prefetch
        self._entries: deque[Arrival | GapMark] = deque()
        self._messages = 0
        self._bytes = 0
        self._readers: list[asyncio.Future[None]] = []
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self._discarding = False
        self._error: BaseException | None = None

    def put(self, arrival: Arrival) -> None:
        """Adds an arrival."""
        if self._discarding:
            return
        self._entries.append(arrival)
        self._messages += len(arrival.identities)
        self._bytes += len(arrival.message.payload)
        if not self._ended and (self._messages >= self._prefetch or self._bytes >= BUFFERED_BYTES):
            self._room.clear()
        if self._readers:
            self._wake()

    def mark(self, gap: GapMark) -> None:
        """Notes a gap."""
        if self._discarding:
            return
        self._entries.append(gap)
        self._wake()

    @property
    def full(self) -> bool:
        """Whether no more should be read from the stream."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Waits until the application has read enough."""
        await self._room.wait()

    def poll(self) -> Arrival | None:
        """The next arrival, None where nothing waits."""
        while self._entries:
            entry = self._entries.popleft()
            if isinstance(entry, Arrival):
                self._messages -= len(entry.identities)
                self._bytes -= len(entry.message.payload)
                if 2 * self._messages <= self._prefetch and 2 * self._bytes <= BUFFERED_BYTES:
                    self._room.set()
                return entry
            self.gaps.add(entry.identity)
            if entry.tag and entry.stream is not None:
                entry.stream.ack(entry.tag)
        return None

    async def take(self) -> Arrival | None:
        """Waits for the next arrival; None after the end. What came before the end is still handed out.

        Raises the error that the end came with, at every call.
        """
        while True:
            arrival = self.poll()
            if arrival is not None:
                return arrival
            if self._ended:
                if self._error is not None:
                    raise self._error
                return None
            reader = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            try:
                await reader
            except BaseException:
                if reader in self._readers:
                    self._readers.remove(reader)
                raise

    def end(self, error: BaseException | None = None) -> None:
        """Nothing comes any more. The first end counts."""
        if not self._ended:
            self._ended = True
            self._error = error
        self._wake()
        self._room.set()

    def _wake(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(None)

    def discard(self) -> None:
        """Throws away what waits and what still comes: the application has left."""
        self._discarding = True
        self._entries.clear()
        self._messages = self._bytes = 0
        self.end()
